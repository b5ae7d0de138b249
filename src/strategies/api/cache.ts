import * as z from "zod";
import { answerCached, reasonToPass, type Cache } from "../../panel/cache/answer.ts";
import { Flights } from "../../panel/cache/flight.ts";
import { Shelf } from "../../panel/cache/shelf.ts";
import { tailOf } from "../../panel/tail.ts";
import { defineStrategy, node, OptionError, type BuildSite } from "../define.ts";

const options = z.strictObject({
  model: node,
  ttlSeconds: z.number().positive().max(31_536_000).default(3600).describe("How long an answer is kept."),
  share: z.boolean().default(false).describe("One cache for all keys. Without it nobody gets what another key's request was answered."),
  maxBytes: z.int().min(1).max(16_777_216).default(262_144).describe("A larger answer is not kept."),
  sampled: z.boolean().default(true).describe("Whether answers to requests with neither a seed nor a temperature of 0 are kept."),
  toolTurns: z.boolean().default(false).describe("Whether turns that offer tools are kept too."),
  waitMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe("How long a request waits for the same one that is under way, before it asks for itself."),
  earlyRefresh: z
    .boolean()
    .default(false)
    .describe("Let one request now and then renew an answer shortly before it expires, while the others still get the old one."),
  version: z.string().default("").describe("Change it to forget all answers, as when a model behind the same name has changed."),
});

type Options = z.output<typeof options>;

function buildCache({ model, ...own }: Options, site: BuildSite): Cache {
  const { ttlSeconds, share, maxBytes, version } = own;
  const child = site.child(model, "model");
  const heeds = site.heeds(model);
  if (share && heeds.principal)
    throw new OptionError("share", "mixes the answers of all keys, and a `route` below goes by `key`; leave one of them out");
  return {
    ...own,
    node: JSON.stringify([site.path, model, version]),
    child,
    heeds,
    shelf: new Shelf({ store: site.store, ttlSeconds, share, maxBytes }),
    flights: new Flights(),
  };
}

/**
 * Gives the same answer to the same request. Same: equal in every field that may change the answer, in canonical form, and in the headers and the
 * metadata that its model heeds, at this node and for this key. Of metadata that is the key of a steerable `pluralism` below it, and all of it where
 * it goes to a server that nobody knows, which may route by it. While one request is on its way to the model, the same ones wait and share its answer; when it fails or its client leaves, the
 * next of them asks. A kept answer is given out in one go, streamed or whole, with a usage of zero: no token was made for it.
 *
 * Never kept: errors, answers that were cut (but by the client's own limit), refusals, empty and degraded ones, turns with tools unless
 * `toolTurns`. A request may forbid it: `no-store` passes by, `no-cache` asks anew and keeps that.
 *
 * Costs nothing on a hit, what its model costs else; it streams as the model does. Pays for repeated questions, evaluation runs and
 * retries of clients; chats hardly ever repeat.
 */
export const cache = defineStrategy({
  kind: "cache",
  level: "api",
  summary: "Gives the same answer to the same request, and asks once for all who ask at once.",
  options,
  build(own, site) {
    const built = buildCache(own, site);
    return {
      name: site.name,
      stream: (request, call) => answerCached(built, request, call),
      unable: (request) => built.child.unable?.(request),
    };
  },
  plan({ model }, child) {
    const planned = child(model);
    const { plan } = planned;
    return { ...plan, calls: [0, plan.calls[1]], tail: tailOf(planned), reads: true, edges: [{ role: "model", child: planned }] };
  },
  foretell(own, { request, call }) {
    const why = reasonToPass(own, request, call);
    return why === undefined
      ? { note: "a kept answer asks nobody; whether there is one is not looked up" }
      : { to: "model", note: `passes the cache by: ${why}` };
  },
  examples: [
    { kind: "cache", model: "a" },
    { kind: "cache", model: "a", ttlSeconds: 60, sampled: false, maxBytes: 65_536 },
    { kind: "cache", model: { kind: "vote", members: ["a", "b", "c"] }, share: true, toolTurns: true, earlyRefresh: true },
    { kind: "cache", model: { kind: "fallback", members: [{ kind: "cache", model: "a" }, "b"] }, waitMs: 5000 },
  ],
});
