import * as z from "zod";
import type { Drawing, Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Call } from "../../model/call.ts";
import { costOfDag, toDag, type Dag, type DagCost } from "../../panel/team/dag.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { panel } from "../../panel/panel.ts";
import { tailOf } from "../../panel/tail.ts";
import { teamwork, type Team, type TeamNode } from "../../panel/team/team.ts";
import { toTemplate, type Template } from "../../panel/team/template.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";

const step = z.strictObject({
  model: node.optional().describe("Who does it. A node without one joins its inputs."),
  prompt: z
    .union([z.string().min(1), z.strictObject({ file: z.string().min(1).describe("Relative to the config file.") })])
    .optional()
    .describe("Its part, in words or as {file}. {{name}} is the place of an input; inputs without a place follow below."),
  inputs: z.array(z.string()).default([]).describe("The nodes whose work it reads."),
  verify: z
    .string()
    .optional()
    .describe("It judges what it reads: passes it, or sends the work back to this node, which is made again with all that comes of it."),
  join: z.string().optional().describe("Instead of a model: the inputs one after the other, with this between them."),
  ...shared.settings,
});

/** One chance to mend the work. */
const TURNS = 1;

const options = z.strictObject({
  nodes: z.record(z.string().regex(/^[A-Za-z]\w*$/, { error: "a node's name is letters, digits and _, a letter first" }), step),
  output: z.string().optional().describe("The node that answers, where it is not the only one that nobody reads."),
  turns: z.int().min(1).max(8).optional().describe(`For nodes with \`verify\`: how often each may send work back, ${TURNS} unless said.`),
  maxInputTokens: z.int().min(16).default(8_000).describe("What a node is shown of each input at most; an estimate."),
  deadlineMs: z.int().min(1).optional().describe("When to answer with what there is."),
  onShort: z
    .enum(["degrade", "fail"])
    .default("degrade")
    .describe("What a node that fails does: those who read it are told, and the answer is marked; or an error."),
  tools: shared.tools,
});

type Options = z.output<typeof options>;
type Step = Options["nodes"][string];

/** A graph holds at most so many nodes: each is a call. */
const MOST = 32;

function checkStep(name: string, { inputs, join, model, prompt, verify, temperature, maxTokens, system, timeouts }: Step): void {
  const at = `nodes.${name}`;
  if (model !== undefined) {
    if (join !== undefined) throw new OptionError(`${at}.join`, "stands beside `model`; a node has one or the other");
    if (verify !== undefined && inputs.length === 0) throw new OptionError(`${at}.inputs`, "verifies nothing; name what it is to judge");
    return;
  }
  if (join === undefined) throw new OptionError(`${at}.model`, "a node needs a `model`, or `join` to put its inputs together");
  if (inputs.length === 0) throw new OptionError(`${at}.inputs`, "joins nothing; name its inputs");
  const idle = Object.entries({ prompt, verify, temperature, maxTokens, system, timeouts }).find(([, value]) => value !== undefined);
  if (idle) throw new OptionError(`${at}.${idle[0]}`, "goes with a `model`, which a node that joins does not have");
}

function dagOf({ nodes, output, turns }: Options): Dag {
  const steps = Object.entries(nodes);
  if (steps.length === 0) throw new OptionError("nodes", "a graph needs at least one node");
  if (steps.length > MOST) throw new OptionError("nodes", `${steps.length} nodes; a graph has at most ${MOST}`);
  for (const [name, one] of steps) checkStep(name, one);
  if (turns !== undefined && steps.every(([, { verify }]) => verify === undefined)) {
    throw new OptionError("turns", "nothing sends work back; leave it out, or give a node with `verify`");
  }
  const dag = toDag(
    steps.map(([name, { inputs, verify }]) => ({ name, inputs, verify })),
    output,
  );
  if ("message" in dag) throw new OptionError(dag.at, dag.message);
  for (const [name, { verify }] of steps) {
    if (verify === undefined || nodes[verify]?.model !== undefined) continue;
    throw new OptionError(`nodes.${name}.verify`, `"${verify}" only joins; name the node whose work is to be made again`);
  }
  return dag;
}

/** Who answers turns with tools where nobody is named: who answers, else the last who writes. */
function ownerOf({ nodes }: Options, { order, sink }: Dag): { readonly name: string; readonly model: Node } {
  const writers = order.filter((name) => nodes[name]?.verify === undefined && nodes[name]?.model !== undefined);
  const name = writers.includes(sink) ? sink : (writers.at(-1) ?? "");
  const model = nodes[name]?.model;
  if (model === undefined) throw new OptionError("nodes", "no node of this graph has a model that writes");
  return { name, model };
}

/** A node's part in words. Where it has places they are those of its inputs, all of them: one that was forgotten would be read by nobody. */
function partOf(name: string, { inputs, prompt }: Step, site: BuildSite): Template | undefined {
  if (prompt === undefined) return undefined;
  const at = `nodes.${name}.prompt`;
  const template = toTemplate(typeof prompt === "string" ? prompt : site.file(prompt.file, `${at}.file`).toString("utf8"));
  if ("wrong" in template) throw new OptionError(at, `"{{" starts no {{name}}: ${JSON.stringify(template.wrong)}`);
  const unknown = template.places.find((place) => !inputs.includes(place));
  const names = inputs.map((input) => `{{${input}}}`).join(", ") || "none";
  if (unknown !== undefined) {
    throw new OptionError(
      at,
      `nothing fills the place {{${unknown}}}; its inputs are ${names}: add "${unknown}" to \`inputs\`, or mend the name`,
    );
  }
  const missing = inputs.find((input) => !template.places.includes(input));
  if (template.places.length === 0 || missing === undefined) return template;
  throw new OptionError(at, `the prompt has no place {{${missing}}} for an input; add it, or leave all places out`);
}

function buildNode(name: string, given: Step, site: BuildSite): TeamNode {
  const { inputs, join, model, verify, temperature, maxTokens, system, timeouts } = given;
  const part = partOf(name, given, site);
  const common = { name, inputs, ...(verify !== undefined && { verify }), ...(part && { part }) };
  if (model === undefined) return { ...common, join: join ?? "" };
  const role = shared.buildRole({ model, temperature, maxTokens, system, timeouts }, `nodes.${name}`, site);
  return { ...common, role: { ...role, label: name } };
}

function buildTeam(given: Options, site: BuildSite): Team {
  const { deadlineMs, maxInputTokens, nodes, onShort, turns = TURNS } = given;
  const dag = dagOf(given);
  const inside = ["nonce", "inputs", "role"];
  return {
    name: site.name,
    dag,
    nodes: new Map(Object.entries(nodes).map(([name, one]) => [name, buildNode(name, one, site)])),
    turns,
    maxInputTokens,
    onShort,
    deadlineMs,
    prompts: {
      work: shared.promptOf(site, "graph", inside, ["back"]),
      answer: shared.promptOf(site, "graph-answer", inside, ["back"]),
      verify: shared.promptOf(site, "graph-verify", inside, ["form"]),
      back: shared.promptOf(site, "graph-back", ["own", "feedback"], ["nonce"]),
    },
    repairPrompt: shared.promptOf(site, "repair", ["reason"]),
  };
}

function drawingOf({ nodes }: Options, { order, waits }: Dag, titleOf: (name: string) => string): Drawing {
  const all = order.flatMap((name) => {
    const one = nodes[name];
    return one ? [{ name, one }] : [];
  });
  const gatesOf = (name: string) => (waits.get(name) ?? []).filter((from) => !nodes[name]?.inputs.includes(from));
  return {
    boxes: all.map(({ name, one }) => ({ name, title: titleOf(name), decides: one.verify !== undefined })),
    arrows: all.flatMap(({ name, one }) => [
      ...one.inputs.map((from) => ({ from, to: name })),
      ...(one.verify === undefined ? [] : [{ from: name, to: one.verify, verdict: "back" as const }]),
      // Whoever reads a node that waits for a verdict waits with it.
      ...gatesOf(name)
        .filter((from) => !one.inputs.some((input) => gatesOf(input).includes(from)))
        .map((from) => ({ from, to: name, verdict: "pass" as const })),
    ]),
  };
}

function planGraph(given: Options, child: (node: Node) => Planned): Plan {
  const { nodes, tools, turns = TURNS } = given;
  const dag = dagOf(given);
  const planned = new Map(Object.entries(nodes).flatMap(([name, { model }]) => (model === undefined ? [] : [[name, child(model)]])));
  const costOf = (name: string): DagCost => {
    const one = planned.get(name);
    if (!one) return { calls: [0, 0], depth: 0 };
    return nodes[name]?.verify === undefined ? one.plan : planQuestions(one);
  };
  const sink = planned.get(dag.sink);
  const { model } = ownerOf(given, dag);
  const titles = (of: string) => planned.get(of)?.title ?? "joins";
  const plan: Plan = {
    ...costOfDag(dag, costOf, turns),
    tail: sink && !dag.held ? tailOf(sink) : "none",
    reads: true,
    edges: dag.order.flatMap((of) => {
      const one = planned.get(of);
      const verify = nodes[of]?.verify;
      return one ? [{ role: verify === undefined ? of : `${of}, may send back to ${verify}`, child: one }] : [];
    }),
    drawing: drawingOf(given, dag, titles),
  };
  return withTools(plan, tools, child, { owner: model });
}

/**
 * A drawn graph of roles: each node is a model with a part in words and the works that it reads; nodes that do not need each other work at once,
 * and the one that nobody reads answers. A `verify` node judges what it reads and may send it back, `turns` times at most: the node that it names,
 * and all between the two, is made again with the feedback; what else comes of that node waits for the verdict. A node with `join` instead of a
 * model puts its inputs together, as a team does that has split a program into parts.
 *
 * Cost: one call a node, those of a loop again for each turn, and for each verdict one more where it can not be read; the depth is the longest way.
 * The sink streams, unless it joins or is verified. One call more, a repair, which the plan does not count, where it misses a schema.
 *
 * - A node that fails: its readers are told so in its place, which is a degradation; or with `onShort: fail` the request fails.
 * - A verdict that can not be read, also when asked again, and the last one when turns are used up, lets the work pass, marked as degraded.
 * - A sink that fails before its first token: its earlier draft, else the medoid of the works that it reads.
 *
 * Pays where a task has parts that differ (plan, write, check), and where checking is easier than doing; a chain of roles for a short question
 * only costs. Heterogeneous Swarms (arXiv 2502.04510) searches such graphs; this runs them. The parts and turns are those of 2508.04652.
 */
export const graph = defineStrategy({
  kind: "graph",
  level: "text",
  summary: "A drawn graph of models with roles; one may check the work and send it back.",
  options,
  build(given, site) {
    const team = buildTeam(given, site);
    const { name } = ownerOf(given, team.dag);
    const owner = team.nodes.get(name)?.role?.model;
    if (!owner) throw new OptionError("nodes", "no node of this graph has a model that writes");
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => teamwork(team, request, call) };
    const joins = team.nodes.get(team.dag.sink)?.role === undefined;
    return panel(inner, {
      tools: buildTools(given.tools, owner, site),
      ownText: () => !joins,
      needs: [...team.nodes.values()].flatMap(({ role }) => role ?? []),
    });
  },
  plan: planGraph,
  examples: [
    {
      kind: "graph",
      nodes: {
        plan: { model: "a", prompt: "Write a short plan of the answer." },
        facts: { model: "b", prompt: "List the facts that the answer needs, each in a line." },
        answer: { model: "c", inputs: ["plan", "facts"] },
      },
    },
    {
      kind: "graph",
      nodes: {
        draft: { model: "a", temperature: 0.7 },
        check: { model: "b", prompt: "Look for wrong numbers above all.", inputs: ["draft"], verify: "draft" },
        final: { model: "c", prompt: "Polish this draft: {{draft}}", inputs: ["draft"] },
      },
      turns: 2,
    },
    {
      kind: "graph",
      nodes: {
        helper: { model: "a", prompt: "Write the helper function only.", maxTokens: 600 },
        main: { model: "b", prompt: "Write the main function only; the helper is written by somebody else." },
        program: { join: "\n\n", inputs: ["helper", "main"] },
        test: { model: "c", prompt: "Does the program do what is asked?", inputs: ["program"], verify: "main" },
      },
      onShort: "fail",
    },
    {
      kind: "graph",
      nodes: {
        one: { model: { kind: "vote", members: ["a", "b", "c"] } },
        two: { model: "b", system: "You are a lawyer.", inputs: ["one"] },
        three: { model: { kind: "fallback", members: ["c", "a"] }, inputs: ["one", "two"] },
      },
      output: "three",
      deadlineMs: 60_000,
      tools: { owner: "b" },
    },
  ],
});
