import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Assembly } from "../../panel/assemble.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { pluralAnswer, type Plural } from "../../panel/plural/plural.ts";
import { defineStrategy, OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools } from "../tool-turns.ts";
import { planWritten, type Further } from "../written.ts";

const common = {
  members: shared.members.describe("The communities: models tuned on them, or one model under several system prompts."),
  writer: shared.role.describe("Who answers with their comments, and picks or reads among them."),
  maxCommentTokens: z.int().min(16).default(1_000).describe("What the writer is shown of each comment at most; an estimate."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  tools: shared.tools,
};

const options = z.discriminatedUnion("mode", [
  z.strictObject({ mode: z.literal("overton"), ...common }),
  z.strictObject({
    mode: z.literal("steerable"),
    ...common,
    attribute: z.string().min(1).optional().describe("Whose view to take where a request does not say."),
    attributeKey: z.string().min(1).default("attribute").describe("The key of a request's `metadata` that says whose view to take."),
  }),
  z.strictObject({
    mode: z.literal("distributional"),
    ...common,
    options: z
      .array(z.string().min(1))
      .min(2)
      .max(26)
      .optional()
      .describe("What shares are told of; without them, the options that the last message lists."),
    probabilities: z
      .enum(["auto", "stated"])
      .default("auto")
      .describe(
        "auto: of the letter that the writer would say, or all for the one it says where it tells none. stated: the writer writes them.",
      ),
    answer: z
      .enum(["written", "sampled"])
      .default("written")
      .describe("The writer tells the shares in words; or one option, drawn by them, is the answer."),
  }),
]);

type Options = z.output<typeof options>;

/** One community is no plurality: two at least, where there are two. */
function quorumOf({ members, quorum }: Options): Assembly["quorum"] {
  const seats = shared.countSeats(members);
  return shared.quorumOf(quorum, seats, Math.min(2, seats));
}

function weightOf(given: shared.MemberOptions): number {
  return typeof given === "object" && "weight" in given && typeof given.weight === "number" ? given.weight : 1;
}

/** Shares of a population are not negative, and not all nothing. */
function checkWeights({ members, mode }: Options): void {
  if (mode !== "distributional") return;
  const negative = members.findIndex((given) => weightOf(given) < 0);
  if (negative >= 0) throw new OptionError(`members[${negative}].weight`, "is a share of a population here, so it is not below 0");
  if (members.every((given) => weightOf(given) === 0)) throw new OptionError("members", "all have the weight 0; one needs more");
}

function checkOptions(given: Options): void {
  checkWeights(given);
  if (given.mode !== "distributional" || given.options === undefined) return;
  const repeated = given.options.findIndex((option, index) => given.options?.indexOf(option) !== index);
  if (repeated >= 0) throw new OptionError(`options[${repeated}]`, "stands twice");
}

function wayOf(given: Options, site: BuildSite): Plural["way"] {
  if (given.mode === "overton") {
    return { mode: given.mode, prompt: shared.promptOf(site, "pluralism-overton", ["candidates"], ["nonce"]) };
  }
  if (given.mode === "steerable") {
    return {
      mode: given.mode,
      attribute: given.attribute,
      attributeKey: given.attributeKey,
      pickPrompt: shared.promptOf(site, "pluralism-pick", ["candidates", "attribute"], ["nonce", "form"]),
      prompt: shared.promptOf(site, "pluralism-steerable", ["attribute", "comment"], ["nonce"]),
    };
  }
  return {
    mode: given.mode,
    options: given.options,
    stated: given.probabilities === "stated",
    answer: given.answer,
    readPrompt: shared.promptOf(site, "pluralism-read", ["comment", "options", "form"], ["nonce"]),
    prompt: shared.promptOf(site, "pluralism-shares", ["shares"]),
  };
}

/** What comes between the comments and the answer. A cut may leave a single comment, which nobody has to pick. */
function between(given: Options, child: (node: Node) => Planned): Further {
  const writer = child(shared.nodeOf(given.writer));
  const seats = shared.countSeats(given.members);
  const fewest = shared.mayCut(given.quorum) ? 1 : seats;
  if (given.mode === "overton") return { calls: [0, 0], depth: 0 };
  if (given.mode === "steerable") {
    const { calls, depth } = planQuestions(writer);
    return seats === 1 ? { calls: [0, 0], depth: 0 } : { calls: [fewest === 1 ? 0 : calls[0], calls[1]], depth };
  }
  const { calls, depth } = planQuestions(writer, seats);
  // Nobody writes a sampled answer: what the writer of a panel costs goes off.
  const off = given.answer === "sampled" ? writer.plan : { calls: [0, 0] as const, depth: 0 };
  return { calls: [writer.plan.calls[0] * fewest - off.calls[0], calls[1] - off.calls[1]], depth: depth - off.depth };
}

function planPluralism(given: Options, child: (node: Node) => Planned): Plan {
  quorumOf(given);
  checkOptions(given);
  const plan = planWritten(given, between(given, child), child);
  if (given.mode === "steerable") return { ...plan, heeds: { metadata: [given.attributeKey] } };
  return given.mode === "distributional" && given.answer === "sampled" ? { ...plan, tail: "none" } : plan;
}

/**
 * Modular pluralism (arXiv 2406.15951): community models comment on the conversation, one writer answers with their comments.
 *
 * - `overton`: the answer holds every view. n + 1 calls, depth 2; it streams. A writer that fails: the comment most like the others.
 * - `steerable`: the writer picks the comment that reflects an attribute best, then answers with that one alone. n + 2 calls, depth 3; it streams.
 *   The attribute is `metadata.attribute` of the request, a field of the standard that clients may fill, else the config's; it is not passed on.
 *   A pick that can not be read, also when asked again: the first community, marked as degraded. A writer that fails: the picked comment.
 * - `distributional`: p(o) = sum of w_i p_i(o) over the sum of w_i, p_i(o) being the probability of the option's letter when the writer answers for
 *   community i: exp(log p) summed by letter at the answer's first word, made to add up to 1. Where no log-probabilities come, or that word is
 *   not the letter that it chooses, the choice counts whole; where none is told, all options count the same (marked); a community that can not be read is left out (marked). The shares stand
 *   in the extension. 2n calls and a drawn option, which a seed repeats, nothing streams; or 2n + 1 and the writer's words, which stream.
 *
 * Calls at worst count the second try of each pick and reading; a repair, where an answer does not satisfy its schema, is not counted. Pays for
 * questions on which reasonable people differ; a matter of fact has no communities, and a plain model under its own name answers it as well.
 */
export const pluralism = defineStrategy({
  kind: "pluralism",
  level: "text",
  summary: "Communities comment; the answer holds all their views, takes the view of one, or tells how opinion is shared out.",
  options,
  build(given, site) {
    checkOptions(given);
    const { maxCommentTokens, members, onShort, quorum, tools, writer } = given;
    const seating = shared.buildSeating(members, quorum.reserves, site);
    const built: Plural = {
      assembly: { name: site.name, seating, quorum: quorumOf(given), onShort, refusals: "unusable" },
      writer: shared.buildRole(writer, "writer", site),
      commentPrompt: shared.promptOf(site, "pluralism-comment", []),
      maxCommentTokens,
      repairPrompt: shared.promptOf(site, "repair", ["reason"]),
      way: wayOf(given, site),
    };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => pluralAnswer(built, request, call) };
    const sampled = given.mode === "distributional" && given.answer === "sampled";
    return panel(inner, {
      tools: buildTools(tools, built.writer.model, site, built.assembly),
      ownText: () => !sampled,
      needs: [...everyone(seating), built.writer],
    });
  },
  plan: planPluralism,
  examples: [
    {
      kind: "pluralism",
      mode: "overton",
      members: [
        { model: "a", system: "You speak for farmers." },
        { model: "a", system: "You speak for city people." },
        { model: "b", system: "You speak for the old." },
      ],
      writer: "c",
    },
    {
      kind: "pluralism",
      mode: "steerable",
      members: ["a", "b"],
      writer: { model: "c", temperature: 0.2 },
      attribute: "people who live by the sea",
      quorum: { graceMs: 2_000, reserves: ["c"] },
    },
    {
      kind: "pluralism",
      mode: "distributional",
      members: [{ model: "a", weight: 3 }, "b"],
      writer: "c",
      options: ["yes", "no", "it depends"],
      onShort: "fail",
    },
    {
      kind: "pluralism",
      mode: "distributional",
      members: ["a", "b", "c"],
      writer: "a",
      options: ["A) yes", "B) no"],
      probabilities: "stated",
      answer: "sampled",
      tools: { policy: "refuse" },
    },
    {
      kind: "pluralism",
      mode: "overton",
      members: [{ kind: "fallback", members: ["a", "b"] }, "c"],
      writer: { kind: "fuse", members: ["a", "b"], writer: "c" },
    },
  ],
});
