import { describe, expect, test } from "vitest";
import { parseCsv } from "../../src/learn/csv.ts";
import { importItems } from "../../src/learn/import-history.ts";
import { readItems } from "../../src/learn/import-items.ts";
import { legKey, parseHistory } from "../../src/model/history.ts";

describe("items", () => {
  test("are pairs or answers by model", () => {
    const pair = { prompt: "P", weak: { model: "w", response: "1", score: false }, strong: { model: "s", response: "2", score: 0.5 } };
    const several = { prompt: "Q", dataset: "x", answers: { a: { response: "1" }, b: { response: "2", usd: 0.1 } } };
    expect(readItems(`${JSON.stringify(pair)}\n\n${JSON.stringify(several)}\n`, "i.jsonl")).toMatchObject([
      {
        prompt: "P",
        answers: [
          { model: "w", response: "1", score: 0 },
          { model: "s", score: 0.5 },
        ],
      },
      {
        prompt: "Q",
        answers: [
          { model: "a", response: "1" },
          { model: "b", usd: 0.1 },
        ],
      },
    ]);
  });

  test("are read from RouteLLM's table, whose answers have line breaks and quotes", () => {
    const csv = [
      "prompt,mixtral,gpt-4,mixtral_response,gpt-4_response\r",
      '"How many, in all?",True,False," He said ""3"".\n#### 3\n\n",It is 4.\r',
      "Second?,False,1,,5",
      "",
    ].join("\n");
    expect(readItems(csv, "gsm8k_responses.csv")).toEqual([
      {
        prompt: "How many, in all?",
        answers: [
          { model: "mixtral", response: ' He said "3".\n#### 3\n\n', score: 1 },
          { model: "gpt-4", response: "It is 4.", score: 0 },
        ],
      },
      {
        prompt: "Second?",
        answers: [
          { model: "mixtral", response: "", score: 0 },
          { model: "gpt-4", response: "5", score: 1 },
        ],
      },
    ]);
  });

  test.each([
    ["prompt,a\nx,True\n", "i.csv", "i.csv: expected the columns prompt, <model> and <model>_response; there are prompt, a"],
    ["prompt,a,a_response\nx,True\n", "i.csv", "i.csv, row 2: 2 fields where the head has 3"],
    ["prompt,a,a_response\nx,maybe,y\n", "i.csv", 'i.csv, row 2: the grade "maybe" is neither True, False nor a number from 0 to 1'],
    ['{"prompt": "x"}', "i.jsonl", /^i\.jsonl, line 1: expected \{prompt, weak/],
    ["", "i.jsonl", "i.jsonl has no items"],
  ])("of %j are refused with their place", (text, file, message) => {
    expect(() => readItems(text, file)).toThrow(message);
  });

  test("of a table may hold anything in quotes", () => {
    expect(parseCsv('a,"b,""c""\r\nd",\n,\n')).toEqual([
      ["a", 'b,"c"\r\nd', ""],
      ["", ""],
    ]);
  });
});

describe("an imported history", () => {
  const item = {
    prompt: "Hi?",
    answers: [
      { model: "small", response: "Hello", score: 1, usd: 0.5, logprobs: [-0.25] },
      { model: "org/big", response: "Hey there", usage: { promptTokens: 3, completionTokens: 2 } },
    ],
  };
  const { legs, grades } = importItems([item], "p");

  test("is one that a gateway reads, under the keys of the plain request", () => {
    const read = parseHistory(legs.map((leg) => JSON.stringify(leg)).join("\n"));
    expect(read).toMatchObject({ skipped: 0, requests: [] });
    expect(read.legs).toEqual(legs);
    const plain = legKey({ model: "any", stream: true, messages: [{ role: "user", content: "Hi?" }] });
    expect(legs.map(({ upstream, key }) => [upstream, key === plain])).toEqual([
      ["p/small", true],
      ["p/small", false],
      ["p/org/big", true],
    ]);
  });

  test("marks usage that nobody counted, and keeps what was", () => {
    expect(legs[0]).toMatchObject({ usage: { promptTokens: 1, completionTokens: 2 }, estimated: true, usd: 0.5 });
    expect(legs[2]).toMatchObject({ usage: { promptTokens: 3, completionTokens: 2 } });
    expect(legs[2]).not.toHaveProperty("estimated");
    expect(legs[2]).not.toHaveProperty("usd");
  });

  test("has log-probabilities where they are asked for, and grades where there are some", () => {
    expect(legs[0]!.answer!.choices[0]).not.toHaveProperty("logprobs");
    expect(legs[1]!.answer!.choices[0]!.logprobs!.content).toMatchObject([{ logprob: -0.25 }]);
    expect(grades).toEqual([{ requestId: "import-1", upstream: "p/small", score: 1 }]);
  });
});
