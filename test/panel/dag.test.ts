import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { runDag, type Made } from "../../src/panel/team/dag-run.ts";
import { costOfDag, toDag, type Dag, type DagNode } from "../../src/panel/team/dag.ts";
import { manualClock } from "../support/clock.ts";

/** Graphs in which every node reads some of those before it, `end` all that nobody reads, and up to two others judge. */
const graphs = fc
  .record({
    reads: fc.array(fc.array(fc.nat(20), { maxLength: 3 }), { minLength: 1, maxLength: 7 }),
    checks: fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 2 }),
    turns: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ reads, checks, turns }) => {
    const works = reads.map((picks, index): DagNode => {
      const inputs = index === 0 ? [] : [...new Set(picks.map((pick) => `n${pick % index}`))];
      return { name: `n${index}`, inputs };
    });
    const read = new Set(works.flatMap(({ inputs }) => inputs));
    const end: DagNode = { name: "end", inputs: works.map(({ name }) => name).filter((name) => !read.has(name)) };
    const above = (name: string): readonly string[] => [name, ...(works.find((one) => one.name === name)?.inputs ?? []).flatMap(above)];
    const verifiers = checks.map(([of, back], index): DagNode => {
      const judged = `n${of % works.length}`;
      const ways = [...new Set(above(judged))];
      return { name: `v${index}`, inputs: [judged], verify: ways[back % ways.length] };
    });
    return { nodes: [...works, end, ...verifiers], verifiers, turns };
  });

function soundDag(nodes: readonly DagNode[]): Dag {
  const dag = toDag(nodes, "end");
  if ("message" in dag) throw new Error(`${dag.at}: ${dag.message}`);
  return dag;
}

/** Runs a graph in which each node takes a second and each verdict sends back as often as it may. */
async function worstRun({ nodes, turns }: { nodes: readonly DagNode[]; turns: number }) {
  const dag = soundDag(nodes);
  const clock = manualClock();
  const backs = new Map<string, number>();
  const calls: string[] = [];
  const make = async (name: string, made: ReadonlyMap<string, Made>): Promise<Made> => {
    calls.push(name);
    for (const input of nodes.find((node) => node.name === name)?.inputs ?? []) expect(made.has(input)).toBe(true);
    await new Promise<void>((resolve) => void clock.timer(1, resolve));
    const sent = backs.get(name) ?? 0;
    const back = dag.again.has(name) && sent < turns;
    if (back) backs.set(name, sent + 1);
    return { back };
  };
  await clock.drive(runDag(dag, dag.order, make));
  return { dag, calls, ms: clock.now() };
}

const one = () => ({ calls: [1, 1] as const, depth: 1 });

describe("a graph", () => {
  test("makes every node after its inputs, as often as planned, and no later than planned", async () => {
    const holds = async (given: { nodes: readonly DagNode[]; verifiers: readonly DagNode[]; turns: number }) => {
      const { dag, calls, ms } = await worstRun(given);
      const cost = costOfDag(dag, one, given.turns);
      expect(calls).toHaveLength(cost.calls[1]);
      expect(cost.calls[0]).toBe(given.nodes.length);
      expect(ms).toBeLessThanOrEqual(cost.depth);
      // Loops that stand inside each other have an upper bound; a single one is exact.
      if (given.verifiers.length < 2) expect(ms).toBe(cost.depth);
    };
    await fc.assert(fc.asyncProperty(graphs, holds), { numRuns: 300 });
  });

  test("gates what comes of judged work, and nothing else", () => {
    const dag = soundDag([
      { name: "plan", inputs: [] },
      { name: "draft", inputs: ["plan"] },
      { name: "check", inputs: ["draft"], verify: "draft" },
      { name: "side", inputs: ["plan"] },
      { name: "polish", inputs: ["draft"] },
      { name: "end", inputs: ["polish", "side"] },
    ]);
    expect(dag.waits.get("polish")).toEqual(["draft", "check"]);
    expect(dag.waits.get("side")).toEqual(["plan"]);
    expect(dag.again.get("check")).toEqual(["draft", "check"]);
    expect(dag.held).toBe(false);
  });

  test("ends with the error of a node, after all that ran has ended", async () => {
    const dag = soundDag([
      { name: "a", inputs: [] },
      { name: "b", inputs: [] },
      { name: "end", inputs: ["a", "b"] },
    ]);
    const ended: string[] = [];
    const running = runDag(dag, dag.order, async (name): Promise<Made> => {
      await Promise.resolve();
      if (name === "a") throw new Error("a fails");
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      ended.push(name);
      return {};
    });
    await expect(running).rejects.toThrow("a fails");
    expect(ended).toEqual(["b"]);
  });
});
