// What is asked and answered in a run: the mock says it, the load expects it. All text is ASCII, so that one char is one byte.

export type Question = "plain" | "big" | "fan" | "vote" | "paced" | "burst";

/** Text chunks of one stream, paced or burst. */
export const chunkCount = 200;
/** Bytes of one `data: ...` event with its blank line, when the client did not ask for usage. */
const chunkBytes = 287;
const endMark = "(end of the answer)";

/** Escaped as it stands in JSON: real answers have line breaks and quotes, and scanners must step over them. */
const prose = 'The choir sang \\"as one\\", though each voice kept its own line.\\nNobody in the hall could tell them apart. ';

function escapedProse(length: number): string {
  const cut = prose.repeat(Math.ceil(length / prose.length)).slice(0, length);
  return cut.replace(/\\$/, ".");
}

/** Pads what `make` builds to `bytes` with prose; returns the whole and the prose, unescaped. */
function sized(bytes: number, make: (escaped: string) => string): { json: string; text: string } {
  const escaped = escapedProse(bytes - make(endMark).length) + endMark;
  return { json: make(escaped), text: JSON.parse(`"${escaped}"`) as string };
}

function completion(model: string, bytes: number): { json: string; text: string } {
  return sized(
    bytes,
    (content) =>
      `{"id":"chatcmpl-Bench0000000000000000000000","object":"chat.completion","created":1760000000,"model":"${model}",` +
      `"choices":[{"index":0,"message":{"role":"assistant","content":"${content}","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
      `"usage":{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":0}},` +
      `"system_fingerprint":"fp_bench"}`,
  );
}

/** Whole answers by upstream model, 600 B and 16 KB on the wire. */
export const completions = { plain: completion("plain", 600), big: completion("big", 16_384) };

/** True when a whole answer seems complete: cheap enough for every answer. */
export function hasEnd(body: string): boolean {
  return body.includes(endMark);
}

function chunkJson(model: string, delta: string, options: { finish?: string; usage: boolean }): string {
  return (
    `{"id":"chatcmpl-Bench0000000000000000000000","object":"chat.completion.chunk","created":1760000000,"model":"${model}",` +
    `"system_fingerprint":"fp_bench","choices":[{"index":0,"delta":${delta},"logprobs":null,` +
    `"finish_reason":${options.finish === undefined ? "null" : `"${options.finish}"`}}]${options.usage ? ',"usage":null' : ""}}`
  );
}

/** Each chunk's text opens with its number, `#00042 `; `#` stands nowhere else in a stream. */
function chunkText(index: number): string {
  const bare = `data: ${chunkJson("paced", '{"content":""}', { usage: false })}\n\n`.length;
  const number = `#${String(index).padStart(5, "0")} `;
  return number + "la ".repeat(chunkBytes).slice(0, chunkBytes - bare - number.length);
}

const chunkTexts = Array.from({ length: chunkCount }, (_, index) => chunkText(index));

/** The text of a whole stream. */
export const streamText = chunkTexts.join("");

/** The events of one stream in order: role, texts, and a last one with finish, usage if asked, and `[DONE]`. */
export function streamEvents(model: string, usage: boolean): string[] {
  const event = (json: string): string => `data: ${json}\n\n`;
  const usageChunk =
    `{"id":"chatcmpl-Bench0000000000000000000000","object":"chat.completion.chunk","created":1760000000,"model":"${model}",` +
    `"system_fingerprint":"fp_bench","choices":[],"usage":{"prompt_tokens":120,"completion_tokens":${chunkCount},"total_tokens":${120 + chunkCount}}}`;
  return [
    event(chunkJson(model, '{"role":"assistant","content":""}', { usage })),
    ...chunkTexts.map((text) => event(chunkJson(model, `{"content":"${text}"}`, { usage }))),
    event(chunkJson(model, "{}", { finish: "stop", usage })) + (usage ? event(usageChunk) : "") + event("[DONE]"),
  ];
}

function plainBody(model: string): string {
  const turn = (role: string, content: string): string => `{"role":"${role}","content":"${content}"}`;
  return sized(600, (content) => {
    const messages = [turn("system", "You are a helpful assistant."), turn("user", content)];
    return `{"model":"${model}","messages":[${messages.join(",")}],"temperature":0.7,"max_tokens":256}`;
  }).json;
}

function bigBody(): string {
  const head = '{"model":"mock/big","messages":[{"role":"system","content":"You are a helpful assistant."}';
  const turns = Array.from({ length: 19 }, (_, index) => {
    const role = index % 2 === 0 ? "user" : "assistant";
    return `,{"role":"${role}","content":"${escapedProse(818)}"}`;
  });
  return `${head}${turns.join("")}],"temperature":0.7,"max_tokens":4096}`;
}

function streamBody(model: string, extra: string): string {
  return `{"model":"${model}","stream":true,${extra}"messages":[{"role":"user","content":"Sing on until I say stop."}]}`;
}

/** Request bodies as a client sends them; `burst` asks for usage and `paced` does not, so that both kinds are checked. */
export const bodies: Record<Question, string> = {
  plain: plainBody("mock/plain"),
  big: bigBody(),
  fan: plainBody("mock/one").replace(/}$/, ',"n":3}'),
  vote: plainBody("vote"),
  paced: streamBody("mock/paced", ""),
  burst: streamBody("mock/burst", '"stream_options":{"include_usage":true},'),
};
