/** Every route that takes a body, over simulated and scripted models, and what none of them may answer. */
import { expect } from "vitest";
import { clientKey, startPair, type Gateway } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse, startUpstream, type OnFinished, type Script, type Upstream } from "../support/upstream.ts";

export const routes = [
  "/v1/chat/completions",
  "/v1/responses",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/rerank",
  "/v1/moderations",
  "/v1/chorale/explain",
] as const;

export type Route = (typeof routes)[number];

/** The simulated models as fast as they go. */
const demo = { kind: "demo", firstTokenMs: 1, tokensPerSecond: 0 } as const;

const says: Script = (exchange) => {
  const script = exchange.request.json["stream"] === true ? sse(chunkStream(["4"], { usage: true })) : json(200, completionJson("4"));
  return script(exchange);
};

const countOf = (value: unknown) => (Array.isArray(value) ? value.length : 1);
const embeds: Script = (exchange) => {
  const data = Array.from({ length: countOf(exchange.request.json["input"]) }, (_, index) => ({
    object: "embedding",
    index,
    embedding: [0.5, 1],
  }));
  return json(200, { object: "list", model: "a", data, usage: { prompt_tokens: 1, total_tokens: 1 } })(exchange);
};
const ranks: Script = (exchange) => {
  const results = Array.from({ length: countOf(exchange.request.json["documents"]) }, (_, index) => ({ index, relevance_score: 0.5 }));
  return json(200, { id: "x", model: "a", results })(exchange);
};
const offers = {
  "POST /v1/embeddings": embeds,
  "POST /v1/rerank": ranks,
  "POST /v1/moderations": json(200, { id: "x", model: "a", results: [] }),
};

const usage = { input_tokens: 7, output_tokens: 3 };
const natives = {
  anthropic: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "c",
    content: [{ type: "text", text: "4" }],
    stop_reason: "end_turn",
    usage,
  },
  gemini: { candidates: [{ content: { role: "model", parts: [{ text: "4" }] }, finishReason: "STOP" }] },
  bedrock: { output: { message: { content: [{ text: "4" }] } }, stopReason: "end_turn", usage: { inputTokens: 7, outputTokens: 3 } },
} as const;

export interface Fuzzed {
  readonly gateway: Gateway;
  /** Behind the provider `up`. */
  readonly upstream: Upstream;
  /** Behind the models that translate, in their order. */
  readonly natives: readonly Upstream[];
  /** Posts bytes and checks the answer as far as any answer can be checked. */
  post(route: Route, body: Uint8Array): Promise<{ readonly status: number; readonly text: string }>;
}

/** Models that a body is sent to: a leaf, a panel that votes, one that writes. */
export const simulated = ["demo/alto", "exam", "merged"] as const;
/** A model that embeds, reranks and moderates, and a panel that does not. */
const offering = ["up/a", "exam"] as const;
const passages: ReadonlySet<Route> = new Set<Route>(["/v1/embeddings", "/v1/rerank", "/v1/moderations"]);

/** Whom a route is asked for. */
export function modelsOf(route: Route): readonly string[] {
  return passages.has(route) ? offering : simulated;
}
/** Models that translate. */
export const translated = ["anthropic/claude-opus-4-1", "gemini/gemini-2.5-pro", "bedrock/anthropic.claude-sonnet-4-5"] as const;

/** A gateway over simulated models, a scripted upstream and the native APIs. */
export async function startFuzzed(onFinished: OnFinished): Promise<Fuzzed> {
  const providers: Record<string, unknown> = { demo };
  const behind: Upstream[] = [];
  for (const [kind, body] of Object.entries(natives)) {
    const native = await startUpstream({ "*": json(200, body) }, onFinished);
    behind.push(native);
    const region = kind === "bedrock" ? { region: "eu-central-1" } : {};
    providers[kind] = { kind, baseUrl: native.url, apiKey: "canary-0123456789", retry: { attempts: 1 }, ...region };
  }
  const models = {
    exam: { kind: "vote", members: ["demo/alto", "demo/tenor", "demo/bass"] },
    merged: { kind: "fuse", members: ["demo/alto", "demo/tenor"], writer: "demo/bass" },
    asked: { kind: "vote", members: ["up/a", "up/b", "up/c"], stop: "none" },
  };
  const { gateway, upstream } = await startPair({ "*": says, ...offers }, { onFinished, config: { providers, models } });
  return { gateway, upstream, natives: behind, post: (route, body) => post(gateway, route, body) };
}

async function post(gateway: Gateway, route: Route, body: Uint8Array) {
  const response = await fetch(gateway.origin + route, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${clientKey}` },
    body: Buffer.from(body),
  });
  const { status, headers } = response;
  const text = await response.text();
  expect([...headers.keys()].filter((name) => name === "x" || name === "x-injected")).toEqual([]);
  // A schema that nothing satisfies is the one thing that a client can do to make models fail.
  const isMeant = status === 200 || (status >= 400 && status < 500) || (status === 502 && text.includes('"schema_unsatisfied"'));
  expect(isMeant, `${status} ${text.slice(0, 500)}`).toBe(true);
  if (status !== 200) expectError(route, text, headers);
  else if (headers.get("content-type")?.startsWith("text/event-stream")) expect(text).not.toContain("internal_error");
  else JSON.parse(text);
  return { status, text };
}

/** An error has the shape of its own API. */
function expectError(route: Route, text: string, headers: Headers): void {
  if (route.startsWith("/v1/messages")) {
    const { type, error } = JSON.parse(text) as {
      readonly type: string;
      readonly error: { readonly type: string; readonly message: string };
    };
    expect([type, typeof error.type, error.message !== ""]).toEqual(["error", "string", true]);
  } else expect(validateError(text, headers)).toEqual([]);
}
