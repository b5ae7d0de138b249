/** Where clients are sent: a bare leaf, a panel, and a model of every kind over the simulated provider. */
import { everyKind as exampleOf } from "../docs/blocks.ts";
import { startPair } from "../support/gateway.ts";
import type { OnFinished } from "../support/upstream.ts";
import { worker, type Deed } from "./worker.ts";

export const wheres = ["leaf", "panel"] as const;

export type Where = (typeof wheres)[number];

const deeds: readonly Deed[] = ["answer", "break", "stall", "limit", "fail", "refuse"];

/** The name of the model that does this for one client, so that its requests can be told from those of others. */
export function modelFor(client: string, deed: Deed, where: Where): string {
  return where === "leaf" ? `up/${deed}-${client}` : `panel-${deed}-${client}`;
}

function panelsFor(client: string): readonly (readonly [string, object])[] {
  return deeds.map((deed) => {
    const at = (seat: string) => `up/${deed}-${client}-${seat}`;
    return [modelFor(client, deed, "panel"), { kind: "fuse", members: [at("a"), at("b")], writer: at("w") }];
  });
}

/** One model of every kind there is. */
const everyKind = exampleOf()["models"] as Readonly<Record<string, { readonly kind: string }>>;

export const kinds: readonly { readonly kind: string; readonly model: string }[] = Object.entries(everyKind)
  .map(([model, { kind }]) => ({ kind, model }))
  .filter(({ kind }, index, all) => all.findIndex((other) => other.kind === kind) === index);

/** A gateway and its upstream for these clients. */
export async function startSite(clients: readonly string[], onFinished: OnFinished) {
  const demo = { kind: "demo", firstTokenMs: 0, tokensPerSecond: 0 };
  const models = { ...everyKind, ...Object.fromEntries(clients.flatMap(panelsFor)) };
  const { gateway, upstream } = await startPair({ "*": worker() }, { onFinished, config: { models, providers: { demo } } });
  /** Requests that the upstream had for this client, in the order of their arrival. */
  const requests = (client: string, deed: Deed, where: Where) => {
    const names = where === "leaf" ? [`${deed}-${client}`] : ["a", "b", "w"].map((seat) => `${deed}-${client}-${seat}`);
    return upstream.requests.filter(({ model }) => names.includes(model ?? ""));
  };
  return { gateway, requests };
}

export type Site = Awaited<ReturnType<typeof startSite>>;
