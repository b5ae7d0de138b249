/** A learned table serves what it was made for, and nothing else: from `chorale learn` to the boot. */
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { HISTORY_VERSION } from "../../src/model/history.ts";
import { chorale, newFolder } from "./kit.ts";
import { linesOf } from "./items.ts";

type Models = Readonly<Record<string, unknown>>;

const gate = { by: "agreement" };
const judge = { by: "judge", judge: "grader" };
const models: Models = {
  small: "demo/alto",
  grader: { kind: "fallback", members: ["demo/bass", "demo/alto"] },
  exam: { kind: "vote", members: ["small", "demo/tenor", "demo/bass"] },
};

function smart(steps: Models["steps"], more: object = {}): Models {
  return { smart: { kind: "cascade", steps, ...more } };
}

/** The steps with and without a threshold of their own. */
const steps = (min: boolean, own: { readonly vote?: unknown; readonly judge?: object } = {}) => [
  { model: own.vote ?? "exam", accept: { ...gate, ...(min ? { min: 0 } : {}) } },
  { model: "small", accept: { ...judge, ...own.judge, ...(min ? { min: 0 } : {}) } },
  { model: "demo/bass" },
];

const config = (given: Models) => stringify({ providers: { demo: { kind: "demo" } }, models: given });

/** A history of the two gates, thirty requests. */
const history = linesOf(
  Array.from({ length: 30 }, (_, index) => ({
    v: HISTORY_VERSION,
    type: "request",
    requestId: `r${index}`,
    at: 0,
    principal: "anyone",
    model: "smart",
    strategy: "cascade",
    status: 200,
    stream: false,
    ms: 1,
    legs: 0,
    usd: 0,
    coverage: 1,
    degraded: [],
    warnings: [],
    trace: {
      label: "request",
      status: "ok",
      startMs: 0,
      node: "smart",
      kind: "cascade",
      decision: {
        steps: [
          { step: "step 1", outcome: "refused", by: "agreement", measured: (index % 3) / 3, threshold: 1 },
          { step: "step 2", outcome: "accepted", by: "judge", measured: index % 10, threshold: 0 },
        ],
      },
    },
  })),
);

async function learned() {
  const folder = newFolder();
  const from = [
    "--from",
    folder.write("history.jsonl", history),
    "--config",
    folder.write("old.yaml", config({ ...models, ...smart(steps(true)) })),
  ];
  const out = ["--out", folder.path("thresholds.json")];
  const ran = await chorale("learn", "cascade-thresholds", "--model", "smart", "--share", "0.5", ...from, ...out);
  expect(ran, ran.err).toMatchObject({ code: 0 });
  return folder;
}

/** What `chorale check` says of a config that names the learned file. */
async function checked(given: Models): Promise<string> {
  const folder = await learned();
  const { code, err } = await chorale("check", "--config", folder.write("new.yaml", config(given)));
  return code === 0 ? "fits" : err;
}

const thresholds = { thresholds: "thresholds.json" };

describe("a table of thresholds", () => {
  test("fits the cascade that it was learned for, also where its nodes are written in another way", async () => {
    expect(await checked({ ...models, ...smart(steps(false), thresholds) })).toBe("fits");
    const vote = { kind: "vote", stop: "unassailable", members: ["demo/alto", "demo/tenor", "demo/bass"] };
    expect(await checked({ ...models, ...smart(steps(false, { vote }), thresholds) })).toBe("fits");
  });

  test("says what it was made for", async () => {
    const folder = await learned();
    expect(folder.json("thresholds.json")).toMatchObject({
      version: 2,
      for: [expect.stringMatching(/^vote:[0-9a-f]{12}$/), "demo/alto", "demo/bass"],
      thresholds: [
        { gate: { by: "agreement" } },
        { gate: { by: "judge", judge: expect.stringMatching(/^fallback:/), maxAnswerTokens: 4000 } },
      ],
    });
  });

  test.each<[string, Models, RegExp]>([
    [
      "a vote of other members",
      { ...models, exam: { kind: "vote", members: ["demo/tenor", "demo/bass"] } },
      /made for other members: vote:/,
    ],
    ["an alias that leads elsewhere", { ...models, small: "demo/tenor" }, /made for other members: vote:/],
    [
      "a judge that is another behind its name",
      { ...models, grader: "demo/tenor" },
      /made for another gate in step 2: its judge was "fallback:/,
    ],
  ])("is refused for %s", async (_, given, message) => {
    const said = await checked({ ...given, ...smart(steps(false), thresholds) });
    expect(said).toMatch(message);
    expect(said).toContain("models.smart.thresholds: thresholds.json was");
    expect(said).toContain("learn it anew");
  });

  test.each<[string, object, RegExp]>([
    ["another judge", { judge: "demo/tenor" }, /another gate in step 2: its judge was/],
    ["a judge with settings of its own", { judge: { model: "grader", temperature: 0 } }, /another gate in step 2: its judge was/],
    ["a judge that is shown less", { maxAnswerTokens: 100 }, /another gate in step 2: its maxAnswerTokens was 4000, here it is 100/],
  ])("is refused for %s", async (_, own, message) => {
    expect(await checked({ ...models, ...smart(steps(false, { judge: own }), thresholds) })).toMatch(message);
  });
});
