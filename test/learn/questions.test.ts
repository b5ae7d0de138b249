import { describe, expect, test } from "vitest";
import { openGrader } from "../../src/learn/grades.ts";
import { importItems } from "../../src/learn/import-history.ts";
import { labelledOf } from "../../src/learn/labelled.ts";
import { questionsOf } from "../../src/learn/questions.ts";
import { gradedRows, rowsOf, upstreamsOf } from "../../src/learn/scoreboard.ts";
import { legKey, type LegRecord } from "../../src/model/history.ts";
import { readLabelled } from "../../src/panel/route/labelled.ts";

const nobody = openGrader({});

function imported(answers: Readonly<Record<string, string>>, prompt = "What is 2 + 2?"): readonly LegRecord[] {
  return importItems([{ prompt, answers: Object.entries(answers).map(([model, response]) => ({ model, response })) }], "p").legs;
}

const grader = (grades: readonly object[], truth: readonly object[] = []) =>
  openGrader({
    grades: [grades.map((one) => JSON.stringify(one)).join("\n"), "grades.jsonl"],
    truth: [truth.map((one) => JSON.stringify(one)).join("\n"), "truth.jsonl"],
  });

describe("the questions of a history", () => {
  test("are known by their messages, whatever else was asked with them", () => {
    const [a, b] = imported({ a: "4", b: "5" });
    const asked = { ...b!.asked, logprobs: true, max_tokens: 9 };
    const again = { ...b!, requestId: "other", asked, key: legKey(asked) };
    const questions = questionsOf({ legs: [a!, again], requests: [] }, nobody);
    expect(questions).toHaveLength(1);
    expect(questions[0]).toMatchObject({
      text: "What is 2 + 2?",
      answers: [
        { upstream: "p/a", text: "4" },
        { upstream: "p/b", text: "5" },
      ],
    });
  });

  test("have no answers of judges, of legs that failed or were cut, or of embedders", () => {
    const [a, b, c, d] = imported({ a: "4", b: "5", c: "6", d: "7" });
    const judge = { ...b!, asked: { model: "b", messages: [{ role: "user", content: "Which is best?" }] } };
    const legs = [a!, judge, { ...c!, status: "lost" as const, cut: true }, { ...d!, does: "embed" as const }];
    expect(questionsOf({ legs, requests: [] }, nobody).map(({ answers }) => answers.map(({ upstream }) => upstream))).toEqual([["p/a"]]);
  });

  test("without content are known by the key of the first leg", () => {
    const bare = ({ asked, answer, ...leg }: LegRecord): LegRecord => (asked && answer ? leg : { ...leg });
    const [a, b] = imported({ a: "4", b: "5" }).map(bare);
    const legs = [a!, b!, { ...b!, order: 2, key: "judged" }];
    const [question, ...others] = questionsOf({ legs, requests: [] }, grader([{ requestId: "import-1", upstream: "p/b", score: 0.5 }]));
    expect(others).toEqual([]);
    expect(question).toMatchObject({ text: undefined, answers: [{ upstream: "p/a" }, { upstream: "p/b", score: 0.5 }] });
  });
});

describe("grades", () => {
  const legs = imported({ a: "It is 4.", b: "The answer is 5" });
  const scores = (given: ReturnType<typeof grader>) => questionsOf({ legs, requests: [] }, given)[0]!.answers.map(({ score }) => score);

  test("are found by request, and by key", () => {
    expect(scores(grader([{ requestId: "import-1", upstream: "p/a", score: 0.25 }]))).toEqual([0.25, undefined]);
    expect(scores(grader([{ key: legs[1]!.key, upstream: "p/b", score: 1 }]))).toEqual([undefined, 1]);
  });

  test("come from a truth as a vote would compare, and a grade wins over it", () => {
    expect(scores(grader([], [{ text: "What is 2 + 2?", answer: 4 }]))).toEqual([1, 0]);
    expect(scores(grader([{ requestId: "import-1", upstream: "p/a", score: 0 }], [{ key: legs[0]!.key, answer: "4.0" }]))).toEqual([0, 0]);
  });

  test("of a request alone are those of the answer that its client got", () => {
    const [alone] = imported({ a: "4" });
    const given = grader([{ requestId: "import-1", score: 1 }]);
    expect(questionsOf({ legs: [alone!], requests: [] }, given)[0]!.answers[0]!.score).toBe(1);
    expect(scores(given)).toEqual([undefined, undefined]);
  });

  test("that belong to nothing are counted", () => {
    const given = grader([{ requestId: "nowhere", upstream: "p/a", score: 1 }], [{ text: "unasked", answer: 1 }]);
    scores(given);
    expect(given.unused()).toBe(2);
  });

  test.each([
    ['{"score": 1}', "grades.jsonl, line 1: needs either requestId or key"],
    ['\n{"key": "k", "score": 1}', "grades.jsonl, line 2: a grade by key names the upstream whose answer it grades"],
    ['{"requestId": "r", "score": 7}', /^grades\.jsonl, line 1: score: /],
    ["{", "grades.jsonl, line 1: not JSON"],
  ])("of a broken line %j are refused with its place", (line, message) => {
    expect(() => openGrader({ grades: [line, "grades.jsonl"] })).toThrow(message);
  });

  test("of a truth that no answer can equal are refused", () => {
    const odd = openGrader({ truth: ['{"text": "What is 2 + 2?", "answer": "nobody knows"}', "truth.jsonl"], kind: "number" });
    expect(() => questionsOf({ legs, requests: [] }, odd)).toThrow('the known answer "nobody knows" can not be read as number');
  });
});

describe("the scoreboard", () => {
  test("takes several answers of a member to a question as one trial", () => {
    const [a] = imported({ a: "4" });
    const legs = [a!, { ...a!, requestId: "x" }, { ...a!, requestId: "y" }];
    const given = grader([
      { requestId: "import-1", upstream: "p/a", score: 1 },
      { requestId: "x", upstream: "p/a", score: 0 },
    ]);
    const questions = questionsOf({ legs, requests: [] }, given);
    expect(rowsOf(questions, [{ name: "a", upstream: "p/a" }])).toMatchObject([{ cells: [{ score: 0.5, key: "n:4" }] }]);
  });

  test("compares only on what everybody was graded for, and labels that", () => {
    const legs = [...imported({ a: "4", b: "5" }), ...imported({ a: "4", b: "4" }, "Other?").map((leg) => ({ ...leg, requestId: "r2" }))];
    const given = grader([
      { requestId: "import-1", upstream: "p/a", score: 1 },
      { requestId: "import-1", upstream: "p/b", score: 0 },
      { requestId: "r2", upstream: "p/a", score: 1 },
    ]);
    const questions = questionsOf({ legs, requests: [] }, given);
    const members = upstreamsOf(questions, true);
    const labelled = labelledOf(gradedRows(questions, members), members);
    expect(labelled).toEqual([{ text: "What is 2 + 2?", scores: { "p/a": 1, "p/b": 0 } }]);
    expect(readLabelled(JSON.stringify(labelled[0]), ["p/a", "p/b"])).toMatchObject([{ scores: [1, 0] }]);
  });

  test("is refused where nothing is graded", () => {
    expect(() => upstreamsOf(questionsOf({ legs: imported({ a: "4" }), requests: [] }, nobody), true)).toThrow(
      /give `--grades` or `--truth`/,
    );
  });
});
