// `node engines/parse-rate.ts [--words] [--show] [--seeds 1] [part of a name]`: how many replies to a judge's first question can be read, kind by
// kind, over the local engine. With --words the schema is taken out on the way, as if the engine had no grammars: this small model then hardly ever
// obeys.
import { createServer, type IncomingMessage } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { serve } from "../src/serve.ts";
import { startLlama } from "./llama.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    words: { type: "boolean", default: false },
    show: { type: "boolean", default: false },
    seeds: { type: "string", default: "1" },
  },
});
const [part] = positionals;

type Fields = Readonly<Record<string, unknown>>;

/** Kinds whose next step hangs on a reply of a given form, each with a judge of its own. */
const models: Readonly<Record<string, unknown>> = {
  "rank by judge": { kind: "rank", members: ["a", "b"], by: "judge", judge: "c" },
  "rank by pairwise": { kind: "rank", members: ["a", "b"], by: "pairwise", judge: "c" },
  "rank by peers": { kind: "rank", members: ["a", "b", "c"], by: "peers" },
  "route by prompt": {
    kind: "route",
    by: "prompt",
    router: "a",
    members: [
      { model: "b", description: "Short facts and numbers." },
      { model: "c", description: "Long or open questions." },
    ],
    else: "c",
  },
  "cascade ask": { kind: "cascade", steps: [{ model: "a", accept: { by: "ask" } }, { model: "b" }] },
  "cascade judge": { kind: "cascade", steps: [{ model: "a", accept: { by: "judge", judge: "c", min: 7 } }, { model: "b" }] },
  "cascade selfVerify": { kind: "cascade", steps: [{ model: "a", accept: { by: "selfVerify", samples: 3, min: 0.6 } }, { model: "b" }] },
  "vote semantic": { kind: "vote", members: ["a", "b"], answer: "semantic", judge: "c" },
  "fuse ranker": { kind: "fuse", members: ["a", "b"], writer: "a", ranker: "c", topK: 1 },
  "abstain others": { kind: "abstain", model: "a", by: "others", reviewers: ["b", "c"] },
  "abstain compete": { kind: "abstain", model: "a", by: "compete", challenger: "b" },
  "abstain self": { kind: "abstain", model: "a", by: "self" },
  "abstain ask": { kind: "abstain", model: "a", by: "ask", min: 0.5, judge: "c" },
  reconcile: { kind: "reconcile", members: ["a", "b", "c"], rounds: 1 },
  consensus: { kind: "consensus", members: ["a", "b", "c"] },
  council: { kind: "council", members: ["a", "b", "c"], chair: "a" },
  blackboard: { kind: "blackboard", members: ["a", "b"], decider: "c", maxTurns: 2 },
  "graph verify": {
    kind: "graph",
    nodes: {
      draft: { model: "a" },
      check: { model: "b", prompt: "Look for wrong facts.", inputs: ["draft"], verify: "draft" },
      final: { model: "c", inputs: ["draft"] },
    },
  },
  "pluralism distributional": {
    kind: "pluralism",
    mode: "distributional",
    members: ["a", "b"],
    writer: "c",
    options: ["yes", "no", "it depends"],
  },
  "pluralism stated": {
    kind: "pluralism",
    mode: "distributional",
    members: ["a", "b"],
    writer: "c",
    options: ["yes", "no"],
    probabilities: "stated",
  },
};

const questions = ["What is the capital of Australia?", "Is it right to eat meat?"];

/** Stands at the end of a question that is put for the second time. */
const AGAIN = "Reply with JSON of this form and nothing else: ";

/** Passes questions on, counts those that ask for a verdict, and takes the schema away where that is asked for. */
function openTap(target: string) {
  const replies: string[] = [];
  const tap = { first: 0, again: 0, replies };
  const isQuestion = ({ response_format: format }: Fields) => (format as Fields | undefined)?.["type"] === "json_schema";
  const passed = async (request: IncomingMessage): Promise<Response> => {
    const body = await text(request);
    if (request.method !== "POST") return fetch(target + (request.url ?? ""));
    const asked = JSON.parse(body) as Fields;
    const judged = isQuestion(asked);
    if (judged) {
      const { content } = (asked["messages"] as Fields[]).at(-1) ?? {};
      const last = String(content).split("\n").at(-1) ?? "";
      tap[last.startsWith(AGAIN) ? "again" : "first"] += 1;
    }
    const { response_format: _, ...bare } = asked;
    const sent = judged && options.words ? bare : asked;
    const answer = await fetch(target + (request.url ?? ""), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(sent),
    });
    if (judged) tap.replies.push((await answer.clone().text()).slice(0, 400));
    return answer;
  };
  const server = createServer((request, response) => {
    passed(request)
      .then(async (answer) => {
        const bytes = Buffer.from(await answer.arrayBuffer());
        response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
        response.end(bytes);
      })
      .catch(() => response.destroy());
  });
  return { server, tap };
}

async function main(): Promise<void> {
  const llama = await startLlama({ threads: 1, predict: 40 });
  const { server, tap } = openTap(llama.url);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const chat = { kind: "openai", baseUrl, dialect: "llama.cpp", models: ["smollm2"] };
  const folder = mkdtempSync(join(tmpdir(), "chorale-rate-"));
  const config = join(folder, "chorale.yaml");
  const named = Object.fromEntries(Object.entries(models).map(([title, node]) => [title.replaceAll(" ", "-"), node]));
  writeFileSync(
    config,
    JSON.stringify({
      store: { kind: "memory" },
      providers: { one: chat, two: chat, three: chat },
      models: { a: "one/smollm2", b: "two/smollm2", c: "three/smollm2", ...named },
    }),
  );
  const gateway = await serve({ env: { PORT: "0", LOG_LEVEL: "silent" }, config, probe: () => Promise.resolve(undefined) });
  for (const model of Object.keys(named)) {
    if (part !== undefined && !model.includes(part)) continue;
    Object.assign(tap, { first: 0, again: 0, replies: [] });
    const asked = questions.flatMap((content) =>
      Array.from({ length: Number(options.seeds) }, (_, index) => ({ content, seed: 3 + index })),
    );
    const read: string[] = [];
    for (const { content, seed } of asked) {
      const body = { model, messages: [{ role: "user", content }], temperature: 1, seed, max_tokens: 16, chorale: { expose: "summary" } };
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
      const told = await response.text();
      // What reads the probabilities of a letter asks for no form.
      read.push(...[...told.matchAll(/"by":"(logprobs|choice|uniform)"/g)].map(([, by = ""]) => by));
      if (!response.ok) console.log(`${model}: ${response.status} ${told.slice(0, 300)}`);
    }
    const { first, again, replies } = tap;
    const rate =
      first === 0
        ? read.length === 0
          ? "never asked"
          : `never asked for a form; read by ${read.join(", ")}`
        : `${Math.round((100 * (first - again)) / first)} % of ${first}`;
    console.log(`${model.padEnd(26)} ${rate}`);
    if (options.show) for (const reply of replies) console.log(`  ${/"content":("(?:[^"\\]|\\.)*")/.exec(reply)?.[1] ?? reply}`);
  }
  await gateway.close();
  server.close();
  server.closeAllConnections();
  await llama.close();
  rmSync(folder, { recursive: true });
}

await main();
