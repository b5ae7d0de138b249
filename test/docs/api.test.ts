import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialects, type Dialect } from "../../src/providers/openai/dialects.ts";
import { startPair, type Gateway } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse, startUpstream, type Script, type Upstream } from "../support/upstream.ts";
import { page } from "./blocks.ts";
import { inMessages, others, standard, type Forms } from "./chat-fields.ts";
import { deed, type Sent } from "./deeds.ts";

type Fields = Readonly<Record<string, unknown>>;

const text = page("docs/api.md");

/** The rows of the table under a heading, their cells trimmed, by the first of them. */
function tableOf(heading: string): ReadonlyMap<string, readonly string[]> {
  const [, rest = ""] = text.split(`\n### ${heading}\n`);
  const [section = ""] = rest.split(/^##/m);
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  const rows = lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
  return new Map(rows.map(([name = "", ...cells]) => [name, cells]));
}

/** Members say something else, so that there is something to judge; all of it is JSON, so that every format is kept. */
const says: Script = (exchange) => {
  const { json: asked, model } = exchange.request;
  const answer = model === "j" ? "A" : model === "b" ? '{"a":5}' : '{"a":4}';
  const streamed = sse(chunkStream([answer], { usage: true }));
  return (asked["stream"] === true ? streamed : json(200, completionJson(answer)))(exchange);
};
const usage = { input_tokens: 7, output_tokens: 3 };
const message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "c",
  content: [{ type: "text", text: "4" }],
  stop_reason: "end_turn",
  usage,
};
const candidate = { content: { role: "model", parts: [{ text: "4" }] }, finishReason: "STOP" };
const output = { message: { role: "assistant", content: [{ text: "4" }] } };

/** The columns, each with the model that is asked and the upstream model whose requests are looked at; none means all. */
const columns = [
  ["leaf", "up/a", undefined],
  ["fallback", "chain", undefined],
  ["members", "majority", undefined],
  ["writer", "merged", "w"],
  ["judge", "picked", "j"],
  ["anthropic", "anthropic/claude-sonnet-4-5", undefined],
  ["gemini", "gemini/gemini-2.5-pro", undefined],
  ["bedrock", "bedrock/anthropic.claude-sonnet-4-5", undefined],
] as const;

let gateway: Gateway;
let upstreams: readonly Upstream[];
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const onFinished = (close: () => Promise<void>) => void closers.push(close);
  const natives = await Promise.all(
    [message, { candidates: [candidate] }, { output, stopReason: "end_turn", usage: { inputTokens: 7, outputTokens: 3 } }].map((body) =>
      startUpstream({ "*": json(200, body) }, onFinished),
    ),
  );
  const native = (index: number) => ({ baseUrl: natives[index]?.url, apiKey: "canary-0123456789", retry: { attempts: 1 } });
  const pair = await startPair(
    { "*": says },
    {
      onFinished,
      config: {
        providers: {
          anthropic: { kind: "anthropic", ...native(0) },
          gemini: { kind: "gemini", ...native(1) },
          bedrock: { kind: "bedrock", region: "eu-central-1", ...native(2) },
        },
        models: {
          chain: { kind: "fallback", members: ["up/a", "up/b"] },
          majority: { kind: "vote", members: ["up/a", "up/b", "up/c"], stop: "none" },
          merged: { kind: "fuse", members: ["up/a", "up/b"], writer: "up/w" },
          mixed: { kind: "vote", members: ["up/a", "up/b", "anthropic/claude-sonnet-4-5"], stop: "none" },
          moved: { kind: "fallback", members: ["anthropic/claude-sonnet-4-5", "up/a"] },
          foreign: { kind: "vote", members: ["bedrock/anthropic.claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"] },
          picked: { kind: "rank", by: "judge", members: ["up/a", "up/b"], judge: "up/j" },
        },
      },
    },
  );
  ({ gateway } = pair);
  upstreams = [pair.upstream, ...natives];
});
afterAll(async () => {
  for (const close of closers.toReversed()) await close();
});

interface Asked {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  readonly sent: readonly Sent[];
}

async function ask(model: string, fields: Fields, seat?: string): Promise<Asked> {
  const before = upstreams.map(({ requests }) => requests.length);
  const response = await gateway.chat({ model, chorale: { expose: "summary" }, ...fields });
  const body = await response.text();
  const sent = upstreams.flatMap(({ requests }, index) => requests.slice(before[index]));
  return {
    status: response.status,
    text: body,
    headers: response.headers,
    sent: sent.filter((request) => seat === undefined || request.model === seat),
  };
}

/** What a refusal is about has to be something that the request has. */
function expectNamed({ text: body, headers, sent }: Asked, fields: Fields): void {
  expect(validateError(body, headers)).toEqual([]);
  const { error } = JSON.parse(body) as { readonly error: { readonly param: string; readonly code: string } };
  expect(Object.keys(fields)).toContain(error.param.split(/[.[]/)[0]);
  expect(error.code).toBe("unsupported_parameter");
  expect(sent).toEqual([]);
}

/** A warning stands in the header and in the extension. */
function isWarned({ headers, text: body }: Asked, word: string): boolean {
  const said = (headers.get("x-chorale-warnings") ?? "").includes(`"${word}"`);
  const [extension = ""] = /"warnings":\[.*?\](?=,)/s.exec(body) ?? [];
  expect(extension.includes(String.raw`\"${word}\"`)).toBe(said);
  return said;
}

const known = new Map<string, Asked>();

/** The same, asked once. */
async function knownOf(model: string, fields: Fields, seat?: string): Promise<Asked> {
  const key = JSON.stringify([model, fields, seat]);
  const found = known.get(key) ?? (await ask(model, fields, seat));
  known.set(key, found);
  return found;
}

async function cellOf(field: string, fields: Fields, [, model, seat]: (typeof columns)[number]): Promise<string> {
  const { [field]: value, ...rest } = fields;
  const { sent: usual } = await knownOf(model, {}, seat);
  const plain = await knownOf(model, rest, seat);
  const asked = await ask(model, fields, seat);
  if (asked.status === 400) {
    expectNamed(asked, fields);
    return "refused";
  }
  expect([asked.status, asked.text], model).toEqual([200, expect.not.stringContaining('"error":{')]);
  return deed({ field, value, sent: asked.sent, plain: plain.sent, usual: usual.length, warned: isWarned(asked, field) });
}

/** What became of `word` in these messages. */
async function messageCellOf(word: string, messages: readonly object[], [, model, seat]: (typeof columns)[number]): Promise<string> {
  const asked = await ask(model, { messages }, seat);
  if (asked.status === 400) {
    expectNamed(asked, { messages });
    return "refused";
  }
  expect([asked.status, asked.sent.length > 0], asked.text).toEqual([200, true]);
  const given = (json: Fields) => (Array.isArray(json["messages"]) ? (json["messages"] as unknown[]).slice(0, messages.length) : []);
  if (asked.sent.every(({ json }) => isDeepStrictEqual(given(json), messages))) return "as is";
  if (isWarned(asked, "messages[].name")) return "warning";
  return asked.sent.every(({ json }) => JSON.stringify(json).includes(word)) ? "translated" : "not sent";
}

const rowsOf = (all: Readonly<Record<string, Forms>>) =>
  Object.entries(all).flatMap(([field, forms]) =>
    Object.entries(forms).map(([form, fields]) => ({ row: form === "" ? `\`${field}\`` : `\`${field}\`: ${form}`, field, fields })),
  );
const rows = [...rowsOf(standard), ...rowsOf(others)];
const told = tableOf("Fields");

test("the table of fields has a row for each field of the OpenAI API in each of its forms, and no other", () => {
  expect([...told.keys()].toSorted()).toEqual(rows.map(({ row }) => row).toSorted());
});

const parts = tableOf("Messages");

test("the table of messages has a row for each thing that is asked here, and no other", () => {
  expect([...parts.keys()].toSorted()).toEqual(Object.keys(inMessages).toSorted());
});

describe("a message arrives as the table says", () => {
  test.each(Object.entries(inMessages))("%s", async (row, [word, messages]) => {
    const cells: string[] = [];
    for (const column of columns) cells.push(await messageCellOf(word, messages, column));
    expect(cells).toEqual(parts.get(row)?.slice(0, columns.length));
  });
});

describe("a field does what the table says", () => {
  test.each(rows)("$row", async ({ row, field, fields }) => {
    const cells: string[] = [];
    for (const column of columns) cells.push(await cellOf(field, fields, column));
    expect(cells).toEqual(told.get(row)?.slice(0, columns.length));
  });
});

describe("the table of servers says what is known of the dialects", () => {
  const all = Object.entries<Dialect>(dialects).map(([name, dialect]) => {
    const quoted = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(", ");
    const { drop = [], refuse = [], rename = {}, toolChoiceRequired: word } = dialect;
    const otherwise = [
      dialect.systemOnly && "`developer` as `system`",
      word !== undefined && `\`required\` as \`${word}\``,
      dialect.singleChoice && "`n` as runs",
      dialect.dropNulls && "no nulls",
      dialect.answerOnly && `no ${dialect.answerOnly.includes("refusal") ? "thoughts, annotations or refusals" : "thoughts"} of answers`,
    ];
    const cells = [
      quoted([...drop.filter((field) => field !== "stream_options"), ...(dialect.unnamed ? ["messages[].name"] : [])]),
      quoted(refuse),
      Object.entries(rename)
        .map(([from, to]) => `\`${from}\` as \`${to}\``)
        .join(", "),
      otherwise.filter(Boolean).join(", "),
    ];
    return [`\`${name}\``, cells] as const;
  });
  const differing = all.filter(([, cells]) => cells.some((cell) => cell !== ""));
  const table = tableOf("Servers");

  test("all of them, and no other", () => {
    expect([...table.keys()]).toEqual(differing.map(([name]) => name));
  });

  test.each(differing)("%s", (name, cells) => {
    expect(table.get(name)).toEqual(cells);
  });
});

test("an explicit null is an absent field, for every field and every kind of model", async () => {
  const fields = Object.keys(standard);
  for (const [, model] of columns) {
    const [plain, nulls] = [await ask(model, {}), await ask(model, Object.fromEntries(fields.map((field) => [field, null])))];
    expect([nulls.status, nulls.sent.length], model).toEqual([200, plain.sent.length]);
    expect(nulls.headers.get("x-chorale-warnings"), model).toBeNull();
  }
});

test("who refuses a field is left out while others can answer", async () => {
  for (const model of ["mixed", "moved"]) {
    const { status, sent } = await ask(model, { logit_bias: { 5: 1 } });
    expect(status, model).toBe(200);
    expect(sent.map(({ json: body }) => body["logit_bias"])).toEqual(sent.map(() => ({ 5: 1 })));
  }
  expectNamed(await ask("foreign", { logit_bias: { 5: 1 } }), { logit_bias: {} });
});
