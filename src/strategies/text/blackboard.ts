import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { meet, promptsFor, type Blackboard } from "../../panel/team/blackboard.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { defineStrategy, OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";

const options = z.strictObject({
  members: shared.members.describe("The agents."),
  decider: shared.role.describe("Who decides whose turn is next and what for, and when it ends. Best none of the agents."),
  maxTurns: z.int().min(1).max(32).default(6).describe("Entries at most."),
  close: z
    .enum(["vote", "last"])
    .default("vote")
    .describe(
      "Where agents conclude differently: all answer and vote; or the last conclusion holds. Without a conclusion all answer and vote.",
    ),
  answer: z
    .enum(["exact", "choice", "number", "json", "auto"])
    .default("auto")
    .describe("What of an answer is compared. auto: the option, JSON, number or short text that it states."),
  maxEntryTokens: z.int().min(16).default(1_000).describe("What is shown of an entry at most; an estimate."),
  maxBoardTokens: z.int().min(16).default(8_000).describe("What is shown of the board at most, the newest entries first; an estimate."),
  deadlineMs: z.int().min(1).optional().describe("When to answer with what stands on the board."),
  onShort: shared.onShort,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** More than half must have answered for a vote. */
function majority({ members }: Options): number {
  return Math.floor(shared.countSeats(members) / 2) + 1;
}

function build(given: Options, site: BuildSite): Blackboard {
  const { answer, close, deadlineMs, decider, maxBoardTokens, maxEntryTokens, maxTurns, members, onShort } = given;
  const seating = shared.buildSeating(members, [], site);
  return {
    assembly: { name: site.name, seating, quorum: { min: majority(given) }, onShort, refusals: "unusable" },
    decider: shared.buildRole(decider, "decider", site),
    maxTurns,
    size: { entry: maxEntryTokens, board: maxBoardTokens },
    answer,
    close,
    deadlineMs,
    deciderPrompt: shared.promptOf(site, "blackboard-decider", ["board", "agents", "form"], ["nonce", "left"]),
    prompts: promptsFor((action) => shared.promptOf(site, `blackboard-${action}`, ["board"], ["nonce"])),
    repairPrompt: shared.promptOf(site, "repair", ["reason"]),
  };
}

/**
 * At best the first agent concludes and the decider ends it. At worst every turn is used, each decision can only be read the second time, the
 * dearest agent speaks whenever it may, and all vote.
 */
function planBlackboard(given: Options, child: (node: Node) => Planned): Plan {
  const { decider: role, maxTurns, members, tools } = given;
  const seats = shared.planSeats({ members, reserves: [], cuts: given.deadlineMs !== undefined }, child);
  const decider = child(shared.nodeOf(role));
  const decision = planQuestions(decider);
  const agents = members.flatMap((one) => Array.from({ length: shared.countSeats([one]) }, () => child(shared.nodeOf(one)).plan));
  // A single agent that is left speaks every time.
  const dearest = Math.max(...agents.map(({ calls }) => calls[1]));
  const deepest = Math.max(...agents.map(({ depth }) => depth));
  const first = Math.min(...agents.map(({ calls }) => calls[0]));
  const owner = members[0] === undefined ? "" : shared.nodeOf(members[0]);
  const plan: Plan = {
    calls: [decision.calls[0] * Math.min(2, maxTurns) + first, (decision.calls[1] + dearest) * maxTurns + seats.calls[1]],
    depth: (decision.depth + deepest) * maxTurns + seats.depth,
    tail: "none",
    reads: true,
    edges: [...seats.edges, { role: "decider", child: decider }],
  };
  return withTools(plan, tools, child, { owner, members });
}

/**
 * Agents work on the request by writing on a shared board, one at a time: propose, work, criticise, conclude. A decider reads the board and says
 * who is next and what for, until it ends it. Nobody speaks twice in a row unless alone. What agents conclude alike is the answer; where they differ,
 * or nobody concluded, all answer having read the board, and the majority over extracted answers wins. Long boards are shown from the newest back.
 *
 * Cost: 2 I + n calls at most for I turns and n agents, and one more for each decision that has to be asked for twice; one after the other, so
 * that it is slow: for work that nobody waits for. Nothing streams. Pays, if at all, where agents bring different tools or knowledge to a task that
 * takes several steps; `vote` over the same agents is the control to beat.
 *
 * - A decider that can not be read, also when asked again: those who have not spoken speak in order, then it is closed; marked as degraded.
 * - An agent whose turn fails is given no other turn, but may answer at the end.
 * - When nobody answers at the end, or the time is up: the entry most like the others, marked as degraded.
 *
 * The blackboard of BBMAS as MoCo (arXiv 2601.21257) has it; there agents are drawn at random and choose what they do themselves.
 */
export const blackboard = defineStrategy({
  kind: "blackboard",
  level: "text",
  summary: "Agents write on a shared board in turns until a decider ends it.",
  options,
  build(given, site) {
    const built = build(given, site);
    const [first] = built.assembly.seating.places;
    if (first === undefined) throw new OptionError("members", "a blackboard needs at least one agent");
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => meet(built, request, call) };
    return panel(inner, {
      tools: buildTools(given.tools, first.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan: planBlackboard,
  examples: [
    { kind: "blackboard", members: ["a", "b"], decider: "c" },
    {
      kind: "blackboard",
      members: [
        { model: "a", system: "You are a mathematician.", samples: 2 },
        { model: "b", weight: 2 },
      ],
      decider: { model: "c", temperature: 0 },
      maxTurns: 3,
      close: "last",
      deadlineMs: 60_000,
    },
    { kind: "blackboard", members: ["a"], decider: "b", maxTurns: 1, answer: "number", onShort: "fail", tools: { policy: "refuse" } },
    {
      kind: "blackboard",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b"],
      decider: { kind: "fallback", members: ["c", "a"] },
      maxTurns: 2,
      tools: { owner: "c" },
    },
  ],
});
