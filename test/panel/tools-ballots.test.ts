import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import type { Completion } from "../../src/model/completion.ts";
import type { Weighed } from "../../src/panel/assemble.ts";
import { electCalls, toolBallotOf, toolStop, type ToolElection } from "../../src/panel/tools/ballots.ts";
import { toolboxOf } from "../../src/panel/tools/calls.ts";
import { newLatency } from "../../src/model/latency.ts";
import type { Place } from "../../src/panel/seats.ts";
import { newRequest } from "../support/call.ts";
import { FakeModel } from "../support/fake-model.ts";

const parameters = { type: "object", properties: { a: { type: "number" } } };
const tools = ["f", "g"].map((name) => ({ type: "function", function: { name, parameters } }));
const toolbox = toolboxOf(newRequest({ tools }), "unusable");
const election: ToolElection = { rule: { kind: "auto" }, validator: undefined };

/** `f{"a":1}` is a call, `f{} g{}` two of them; what has no brace is a text. */
function answerOf(said: string): Completion {
  if (!said.includes("{")) return { choices: [{ index: 0, message: { role: "assistant", content: said }, finishReason: "stop" }] };
  const calls = said.split(" ").map((one, nth) => {
    return { id: `call_${nth}`, type: "function", function: { name: one.slice(0, 1), arguments: one.slice(1) } } as const;
  });
  return { choices: [{ index: 0, message: { role: "assistant", content: null, tool_calls: calls }, finishReason: "tool_calls" }] };
}

type Vote = string | readonly [said: string, weight: number];

function candidateOf(vote: Vote, seat: number): Weighed {
  const [said, weight] = typeof vote === "string" ? [vote, 1] : vote;
  const completion = answerOf(said);
  return { seat, label: `m${seat}`, completion, ms: 1, weight, text: completion.choices[0]?.message.content ?? "" };
}

const read = (candidate: Weighed) => toolBallotOf(candidate, election.rule, toolbox);
const ballotsOf = (votes: readonly Vote[]) => votes.map((vote, seat) => read(candidateOf(vote, seat)));
const winnerOf = (votes: readonly Vote[]) => electCalls(ballotsOf(votes), election)?.winner;

describe("a hierarchical majority", () => {
  test.each<readonly [string, readonly Vote[], string]>([
    ["takes the call of most", ['f{"a":1}', 'f{"a":2}', 'f{"a":2}'], "m1"],
    ["calls where most call, though the text is the largest class", ["4", "4", 'f{"a":1}', 'f{"a":2}', "g{}"], "m2"],
    ["talks where most talk", ["4", 'f{"a":1}', "4"], "m0"],
    ["takes the tool first, then its arguments", ['g{"a":1}', 'f{"a":1}', 'f{"a":2}'], "m1"],
    ["compares parallel calls as a set", ["f{} g{}", "g{} f{}", "f{}"], "m0"],
    ["counts a tool as often as it is called", ["f{}", "f{} f{}", "f{} f{}"], "m1"],
    ["compares arguments by value", ['f{"a":2}', 'f{"a":1}', 'f{"a":1.0}'], "m1"],
    ["gives a tie of calling and talking to the earlier seat", ["4", "f{}"], "m0"],
    ["gives a tie of tools to the earlier seat", ["g{}", "f{}"], "m0"],
    ["gives a tie of arguments to the earlier seat", ["4", 'f{"a":2}', 'f{"a":1}'], "m1"],
    ["counts weights", ["f{}", "f{}", ["4", 3]], "m2"],
    ["settles texts by what they state", ["The answer is 5.", "The answer is 4.", "It is 4.", "f{}"], "m1"],
  ])("%s", (_, votes, winner) => {
    expect(winnerOf(votes)).toBe(winner);
  });

  test("gives the winner's own answer, and tells the votes of each step", () => {
    const ballots = ballotsOf(['f{"a":1}', 'f{"a":2}', "4", 'f{"a":2.0}']);
    const outcome = electCalls(ballots, election);
    expect(outcome?.completion).toBe(ballots[1]?.candidate.completion);
    expect(outcome).toMatchObject({
      agreement: 0.5,
      votes: { turn: { calls: 3, text: 1 }, names: { f: 3 }, calls: { 'f({"a":2})': 2, 'f({"a":1})': 1 } },
    });
  });

  test("of nobody is nothing", () => {
    expect(electCalls([], election)).toBeUndefined();
  });
});

const place = (seat: number): Place => {
  const model = new FakeModel(`m${seat}`);
  return { name: model.name, label: model.name, model, settings: {}, sample: 0, weight: 1, latency: newLatency() };
};

function stopAfter(votes: readonly Vote[], order: readonly number[] = votes.map((_, seat) => seat)): number {
  const { stop } = toolStop({ places: votes.map((_, seat) => place(seat)), reserves: [] }, read);
  return order.findIndex((seat) => stop(candidateOf(votes[seat] ?? "", seat)) !== undefined) + 1;
}

describe("the rest is not waited for", () => {
  test.each<readonly [string, readonly Vote[], number]>([
    ["once three of five make the same call", ["f{}", "f{}", "f{}", "g{}", "4"], 3],
    ["not while the arguments are open", ['f{"a":1}', 'f{"a":2}', 'f{"a":1}', 'f{"a":1}', "4"], 4],
    ["not while calling or talking is open", ["f{}", "4", "f{}", "4", "f{}"], 5],
    ["once three of five give the same answer", ["4", "4", "4", "f{}", "f{}"], 3],
    ["at its end where the texts are prose", ["x ".repeat(200), "y ".repeat(200), "z ".repeat(200)], 0],
  ])("%s", (_, votes, count) => {
    expect(stopAfter(votes)).toBe(count);
  });

  test("and what they could have said counts neither for nor against", () => {
    const five = ["f{}", "f{}", "f{}", "g{}", "4"];
    const stopping = toolStop({ places: five.map((_, seat) => place(seat)), reserves: [] }, read, [0.5]);
    const early = five.map((vote, seat) => stopping.stop(candidateOf(vote, seat))).slice(0, 3);
    expect(early).toEqual([undefined, undefined, "the leader can not be caught"]);
    const wary = toolStop({ places: five.map((_, seat) => place(seat)), reserves: [] }, read, [0.9]);
    expect(five.map((vote, seat) => wary.stop(candidateOf(vote, seat)) !== undefined)).toEqual([false, false, false, true, true]);
    const out = { weight: 2, behind: 2, against: 0 };
    expect(electCalls(ballotsOf(five.slice(0, 3)), { ...election, out })).toMatchObject({ agreement: 0.6, atMost: 1 });
    expect(electCalls(ballotsOf(["4", "4", "4", "f{}"]), { ...election, out })).toMatchObject({ agreement: 0.5, atMost: 5 / 6 });
  });

  const prose = "Nobody can tell this from other words, for there is nothing in it. ".repeat(3);

  test("and no votes that are out could have changed the class that wins", () => {
    const one = fc.constantFrom('f{"a":1}', 'f{"a":2}', "g{}", "f{} g{}", "4", "5", "The answer is 4.", "B", "Yes.", prose);
    const property = fc.property(
      fc.array(one, { minLength: 3, maxLength: 7 }),
      fc.array(one, { minLength: 7, maxLength: 7 }),
      (votes, others) => {
        const count = stopAfter(votes);
        if (count === 0) return;
        const classOf = (all: readonly Vote[]) => {
          const winner = electCalls(ballotsOf(all), election)?.winner;
          return all[Number(winner?.slice(1))];
        };
        expect(classOf([...votes.slice(0, count), ...others.slice(count, votes.length)])).toBe(classOf(votes.slice(0, count)));
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});
