import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { startPair, type Gateway } from "../support/gateway.ts";
import { completionJson, errorJson, json } from "../support/upstream.ts";

const capabilities = {
  blind: { images: false, audio: false, files: false, tools: false, logprobs: false, choices: "one" },
  small: { contextLength: 100 },
  smaller: { contextLength: 50 },
  brief: { maxOutput: 50 },
};

/** A gateway over one upstream: `blind`, `small` and `brief` are known not to do everything, of the others nobody knows. */
async function start(models: Readonly<Record<string, unknown>> = {}) {
  const answer = json(200, completionJson("4"));
  const told = json(400, errorJson("told by the upstream", { param: "messages", code: "context_length_exceeded" }));
  const pair = await startPair(
    { "*": answer, told },
    { onFinished: onTestFinished, provider: { capabilities }, config: { models, log: { level: "error" } } },
  );
  return { ...pair, asked: () => pair.upstream.requests.map(({ model }) => model) };
}

const text = { type: "text", text: "What is it?" };
const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
const sound = { type: "input_audio", input_audio: { data: "AA==", format: "wav" } };
const document = { type: "file", file: { file_data: "data:application/pdf;base64,AA==", filename: "a.pdf" } };
const says = (part: object) => ({ messages: [{ role: "user", content: [text, part] }] });
const tool = { type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } };
const long = { messages: [{ role: "user", content: "Sing of the anger of Achilles. ".repeat(100) }] };

/** Requests that `blind` can not take, with the parameter that is to blame. */
const wants: readonly (readonly [what: string, fields: object, param: string])[] = [
  ["images", says(image), "messages[0].content[1]"],
  ["audio", says(sound), "messages[0].content[1]"],
  ["files", says(document), "messages[0].content[1]"],
  ["tools", { tools: [tool] }, "tools"],
  ["functions", { functions: [tool.function] }, "functions"],
  ["log-probabilities", { logprobs: true }, "logprobs"],
];

const errorOf = async (response: Response) => [response.status, ((await response.json()) as { readonly error?: unknown }).error] as const;

test.each(wants)("a bare leaf that does not take %s refuses by name, and nothing is sent", async (_, fields, param) => {
  const { gateway, asked } = await start();
  expect(await errorOf(await gateway.chat({ model: "up/blind", ...fields }))).toMatchObject([
    400,
    { type: "invalid_request_error", code: "unsupported_parameter", param },
  ]);
  expect((await gateway.chat({ model: "up/blind", stream: true, ...fields })).status).toBe(400);
  expect(asked()).toEqual([]);
  expect((await gateway.chat({ model: "up/able", ...fields })).status).toBe(200);
});

test("a bare leaf is sent what it can take, byte for byte", async () => {
  const { gateway, upstream } = await start();
  const body = '{"model":"up/blind", "messages":[{"role":"user","content":"hi"}],"tools":[],"logprobs":false,"seed":90071992547409931}';
  expect((await gateway.chat(body)).status).toBe(200);
  expect(upstream.requests[0]?.body.toString()).toBe(body.replace("up/blind", "blind"));
});

test("a prompt that is certainly too long is refused with the four fields of the API", async () => {
  const { gateway, asked } = await start();
  const [status, error] = await errorOf(await gateway.chat({ model: "up/small", ...long }));
  expect([status, error]).toEqual([
    400,
    {
      message:
        "This model's maximum context length is 100 tokens. However, your messages resulted in at least 517 tokens. " +
        "Please reduce the length of the messages.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    },
  ]);
  expect(asked()).toEqual([]);
});

test("a limit above what a model writes is refused by the name that it has", async () => {
  const { gateway, asked } = await start();
  const refused = (param: string) => [400, { code: "unsupported_parameter", param }];
  expect(await errorOf(await gateway.chat({ model: "up/brief", max_tokens: 51 }))).toMatchObject(refused("max_tokens"));
  expect(await errorOf(await gateway.chat({ model: "up/brief", max_completion_tokens: 51 }))).toMatchObject(
    refused("max_completion_tokens"),
  );
  expect(asked()).toEqual([]);
  expect((await gateway.chat({ model: "up/brief", max_tokens: 50 })).status).toBe(200);
});

/** Each with a member that can not take the request before one that can. */
const choosing: Readonly<Record<string, (unable: string) => Node>> = {
  fallback: (unable) => ({ kind: "fallback", members: [unable, "up/able"] }),
  race: (unable) => ({ kind: "race", members: [unable, "up/able"], staggerMs: 60_000 }),
  balance: (unable) => ({ kind: "balance", members: [unable, "up/able"] }),
  cascade: (unable) => ({ kind: "cascade", steps: [{ model: unable, accept: { by: "schema" } }, { model: "up/able" }] }),
  route: (unable) => ({ kind: "route", by: "rules", rules: [{ when: { key: "team-a" }, model: unable }], else: "up/able" }),
  vote: (unable) => ({ kind: "vote", members: [unable, "up/able"], quorum: { min: 1 } }),
  fuse: (unable) => ({ kind: "fuse", members: [unable, "up/able"], writer: "up/able", quorum: { min: 1 } }),
  "a vote in a fallback": (unable) => ({ kind: "fallback", members: [{ kind: "vote", members: [unable, unable] }, "up/able"] }),
  "a retry in a balance": (unable) => ({
    kind: "balance",
    members: [{ kind: "retry", model: { kind: "cache", model: unable } }, "up/able"],
  }),
  "a budget in a route": (unable) => ({
    kind: "route",
    by: "rules",
    rules: [
      { when: { key: "team-a" }, model: { kind: "timeout", model: unable, timeouts: { totalMs: 60_000 }, budget: { calls: 3 } } as Node },
    ],
    else: "up/able",
  }),
};

test.each(Object.keys(choosing))("%s leaves out who can not see, and says so", async (kind) => {
  const { gateway, asked } = await start({ smart: choosing[kind]?.("up/blind") });
  const response = await gateway.chat({ model: "smart", ...says(image), chorale: { expose: "summary" } });
  const { chorale } = (await response.json()) as { readonly chorale: { readonly warnings: readonly string[] } };
  expect([response.status, chorale.warnings]).toEqual([200, ["left out: up/blind does not take images."]]);
  expect(new Set(asked())).toEqual(new Set(["able"]));
});

test("so it is while requests are recorded", async () => {
  const folder = mkdtempSync(join(tmpdir(), "chorale-capable-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { gateway, upstream } = await startPair(
    { "*": json(200, completionJson("4")) },
    {
      onFinished: onTestFinished,
      provider: { capabilities },
      config: {
        models: { smart: choosing["a budget in a route"]?.("up/blind") },
        record: { path: join(folder, "h.jsonl"), content: true },
      },
    },
  );
  expect((await gateway.chat({ model: "smart", ...says(image) })).status).toBe(200);
  expect(upstream.requests.map(({ model }) => model)).toEqual(["able"]);
});

test.each(Object.keys(choosing))("%s gives what is too long for one member to another", async (kind) => {
  const { gateway, asked } = await start({ smart: choosing[kind]?.("up/small") });
  expect((await gateway.chat({ model: "smart", ...long })).status).toBe(200);
  expect(new Set(asked())).toEqual(new Set(["able"]));
  expect((await gateway.chat({ model: "smart" })).status).toBe(200);
  expect(new Set(asked())).toContain("small");
});

test("a member that can not take tools is no owner of a loop, and one that writes too little is left out", async () => {
  const { gateway, asked } = await start({ smart: { kind: "fallback", members: ["up/blind", "up/brief", "up/able"] } });
  expect((await gateway.chat({ model: "smart", tools: [tool], max_tokens: 100 })).status).toBe(200);
  expect(asked()).toEqual(["able"]);
});

/** Every kind over three names. */
const kinds = [...strategies.values()].map(({ kind, examples: [first] }) => [kind, first] as const);
const only = (leaf: string) => ({ a: `up/${leaf}`, b: `up/${leaf}`, c: `up/${leaf}` });

/** Log-probabilities that a gate measures are for the boot to judge. */
const seeing = { images: false, audio: false, files: false };

async function startKind(kind: string, node: Node | undefined, leaf: string): Promise<{ gateway: Gateway; asked: () => unknown[] }> {
  const { gateway, upstream } = await startPair(
    { "*": json(200, completionJson("4")) },
    {
      onFinished: onTestFinished,
      provider: { capabilities: { ...capabilities, blind: seeing } },
      config: { models: { ...only(leaf), [`the-${kind}`]: node }, log: { level: "error" } },
    },
  );
  return { gateway, asked: () => upstream.requests.map(({ model }) => model) };
}

test.each(kinds)("%s over members that can not see refuses by name, and nothing is sent", async (kind, node) => {
  const { gateway, asked } = await startKind(kind, node, "blind");
  const answer = await errorOf(await gateway.chat({ model: `the-${kind}`, ...says(image) }));
  expect(answer).toMatchObject([400, { code: "unsupported_parameter", param: "messages[0].content[1]" }]);
  expect(asked()).toEqual([]);
});

test.each(kinds)("%s refuses what is too long for all of its members, and nothing is sent", async (kind, node) => {
  const { gateway, asked } = await startKind(kind, node, "small");
  const answer = await errorOf(await gateway.chat({ model: `the-${kind}`, ...long }));
  expect(answer).toMatchObject([400, { type: "invalid_request_error", code: "context_length_exceeded", param: "messages" }]);
  expect(asked()).toEqual([]);
});

test("what one member lacks and another has no room for is told as too long", async () => {
  const models = {
    chain: { kind: "fallback", members: ["up/blind", "up/small"] },
    panel: { kind: "vote", members: ["up/blind", "up/small"] },
  };
  const { gateway, asked } = await start(models);
  const asking = { messages: [{ role: "user", content: [{ type: "text", text: long.messages[0]?.content }, image] }] };
  for (const model of Object.keys(models))
    expect(await errorOf(await gateway.chat({ model, ...asking }))).toMatchObject([400, { code: "context_length_exceeded" }]);
  expect(asked()).toEqual([]);
});

test("the upstream's own four fields stand where all say that it is too long", async () => {
  const { gateway, asked } = await start({ smart: { kind: "fallback", members: ["up/small", "up/told"] } });
  expect(await errorOf(await gateway.chat({ model: "smart", ...long }))).toEqual([
    400,
    { message: "told by the upstream", type: "invalid_request_error", param: "messages", code: "context_length_exceeded" },
  ]);
  expect(asked()).toEqual(["told"]);
});

test("nobody is asked where to send what none may take", async () => {
  const members = ["short", "long"].map((name) => ({ name, model: "up/blind", description: name }));
  const route = { kind: "route", by: "prompt", router: "up/able", members };
  const { gateway, asked } = await start({ smart: route });
  expect((await gateway.chat({ model: "smart", ...says(image) })).status).toBe(400);
  expect(asked()).toEqual([]);
});

test("no card is bought for a writer who can not take the request", async () => {
  const { gateway, asked } = await start({ smart: { kind: "knowledge-card", members: ["up/able", "up/other"], writer: "up/blind" } });
  expect((await gateway.chat({ model: "smart", ...says(image) })).status).toBe(400);
  expect(asked()).toEqual([]);
});

test("a panel that refuses tools is passed by", async () => {
  const panel = { kind: "vote", members: ["up/able", "up/able"], tools: { policy: "refuse" } };
  const { gateway, upstream } = await start({ smart: { kind: "fallback", members: [panel, "up/other"] } });
  expect((await gateway.chat({ model: "smart", tools: [tool] })).status).toBe(200);
  expect(upstream.requests.map(({ model }) => model)).toEqual(["other"]);
});

test("what would be refused is explained as refused", async () => {
  const { gateway } = await start({ smart: choosing["vote"]?.("up/blind"), none: { kind: "vote", members: ["up/blind", "up/blind"] } });
  const explain = (model: string) =>
    gateway.get("/v1/chorale/explain", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, ...says(image) }),
    });
  expect((await explain("smart")).status).toBe(200);
  expect(await errorOf(await explain("none"))).toMatchObject([400, { code: "unsupported_parameter", param: "messages[0].content[1]" }]);
});

test("other dialects are told in their own words", async () => {
  const { gateway, asked } = await start();
  const source = { type: "base64", media_type: "image/png", data: "AA==" };
  const messages = await gateway.get("/v1/messages", {
    method: "POST",
    headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
    body: JSON.stringify({ model: "up/blind", max_tokens: 5, messages: [{ role: "user", content: [{ type: "image", source }] }] }),
  });
  expect([messages.status, await messages.json()]).toMatchObject([400, { type: "error", error: { type: "invalid_request_error" } }]);
  const responses = await gateway.get("/v1/responses", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "up/small", input: long.messages[0]?.content }),
  });
  expect(await errorOf(responses)).toMatchObject([400, { code: "context_length_exceeded", type: "invalid_request_error" }]);
  expect(asked()).toEqual([]);
});

test("the list of models tells what is known, beside the fields of the API", async () => {
  const { gateway } = await start({ alias: "up/small", panel: { kind: "vote", members: ["up/blind", "up/able"] } });
  const { data } = (await (await gateway.get("/v1/models")).json()) as { readonly data: readonly Record<string, unknown>[] };
  const created = expect.any(Number);
  const alias = { id: "alias", object: "model", created, owned_by: "up", context_length: 100 };
  expect(data).toContainEqual({ ...alias, chorale: { kind: "leaf", capabilities: { contextLength: 100 } } });
  expect(data).toContainEqual({ id: "panel", object: "model", created, owned_by: "chorale", chorale: { kind: "vote" } });
  expect(await (await gateway.get("/v1/models/up/blind")).json()).toMatchObject({ chorale: { capabilities: capabilities.blind } });
  // The official client reads it, and what it does not know.
  expect(await gateway.client().models.retrieve("alias")).toMatchObject(alias);
});
