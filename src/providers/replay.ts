import * as z from "zod";
import type { Call } from "../model/call.ts";
import { collect } from "../model/collect.ts";
import { ownRequest } from "../model/request.ts";
import { defineProvider, type Capabilities } from "./define.ts";
import { replayLeaf, type Player } from "./replay-leaf.ts";
import { loadTape, type Tape } from "./replay-tape.ts";

const options = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe("A history that was recorded with content; relative to the working directory. Its full files are read too."),
  timing: z
    .enum(["recorded", "none"])
    .default("recorded")
    .describe("Whether answers take as long as they took. The order in which they come is kept in any case."),
  provider: z
    .string()
    .min(1)
    .optional()
    .describe("The provider in the recording; its own name unless said, or the only one that there is."),
});

/** Which provider of the recording is played. */
function recordedProvider(tape: Tape, named: string | undefined, own: string): string {
  const there = [...new Set([...tape.models.keys()].map((upstream) => upstream.split("/", 1)[0] ?? ""))];
  const [only, ...others] = there;
  if (named === undefined && !there.includes(own) && only !== undefined && others.length === 0) return only;
  const provider = named ?? own;
  if (!there.includes(provider))
    throw new Error(`the recording has no provider "${provider}"; it has ${there.join(", ")}: set \`provider\``);
  return provider;
}

/** Asks for what the catalog asked for when it recorded an embedding or a reranking. */
async function results<T>(player: Player, query: string, texts: readonly string[], call: Call): Promise<readonly T[]> {
  const request = ownRequest({ model: player.name, messages: [], max_tokens: 0, query, texts });
  const { extra } = await collect(replayLeaf(player).stream(request, call));
  return extra?.["results"] as readonly T[];
}

/** Serves recorded answers, with their times and what they cost. A request that was not recorded is an error that names its key. */
export const replay = defineProvider({
  kind: "replay",
  summary: "Recorded answers of other providers, with recorded times, usage and cost.",
  options,
  build({ path, timing, provider }, site) {
    const tape = loadTape(path);
    const from = recordedProvider(tape, provider, site.name);
    tape.serve(from);
    const player = (model: string): Player => ({ tape, timing, name: `${site.name}/${model}`, upstream: `${from}/${model}` });
    const most = (offer: string, model: string) => tape.batches.get(`${offer} ${from}/${model}`);
    const own = [...tape.models.keys()]
      .filter((upstream) => upstream.startsWith(`${from}/`))
      .map((upstream) => upstream.slice(from.length + 1));
    return {
      own,
      chat: (model) => replayLeaf(player(model)),
      capabilities: (model): Capabilities => tape.models.get(`${from}/${model}`) ?? {},
      embedder(model) {
        const batch = most("embed", model);
        if (batch === undefined) return undefined;
        const embed = async (texts: readonly string[], call: Call) =>
          (await results<readonly number[]>(player(model), "", texts, call)).map((vector) => Float32Array.from(vector));
        return { name: `${site.name}/${model}`, most: batch, embed };
      },
      reranker(model) {
        const batch = most("rerank", model);
        if (batch === undefined) return undefined;
        const rerank = (query: string, texts: readonly string[], call: Call) => results<number>(player(model), query, texts, call);
        return { name: `${site.name}/${model}`, most: batch, rerank };
      },
      recall: ({ body }, callId) => tape.recall(body, callId),
    };
  },
});
