import { hash } from "node:crypto";
import { GatewayError } from "../model/errors.ts";
import type { Principal } from "../model/call.ts";
import type { KeyLimits } from "../store/store.ts";

/** A configured key. */
export interface Key {
  readonly name: string;
  readonly key: string;
  /** Names that it may use; `*` at the end stands for any rest, alone for all. */
  readonly models: readonly string[];
  readonly limits: KeyLimits;
  /** Most upstream calls that one request may make. */
  readonly maxMultiplier?: number;
}

/** Who asks, and what they may. */
export interface Asker extends Principal {
  readonly limits: KeyLimits;
  readonly maxMultiplier: number;
  mayUse(model: string): boolean;
}

/** Anybody, on a gateway without keys. */
const anybody: Asker = { name: "anonymous", limits: {}, maxMultiplier: Infinity, mayUse: () => true };

function digest(key: string): string {
  return hash("sha256", key, "hex");
}

function toAsker({ name, models, limits, maxMultiplier }: Key): Asker {
  const allowed = new Set(models);
  const prefixes = models.filter((model) => model.endsWith("*")).map((model) => model.slice(0, -1));
  const mayUse = (model: string) => allowed.has(model) || prefixes.some((prefix) => model.startsWith(prefix));
  return { name, limits, maxMultiplier: maxMultiplier ?? Infinity, mayUse };
}

/** Enough to recognise a key in a log, never enough to use it. */
function masked(key: string): string {
  return key.length < 12 ? "***" : `${key.slice(0, 3)}***${key.slice(-2)}`;
}

/** Headers that are remembered, and their length: those of good keys, so few are ever met. */
const REMEMBERED = 1000;
const LONGEST = 512;

/** Finds who asks by what the `authorization` header says; on an `open` path that is anybody. Keys are looked up by their
 * hash, so that the time it takes tells nothing of a key. A header with a good key is remembered as it is: whoever sends it has that key. */
export function authenticator(keys: readonly Key[]): (authorization: string | undefined, open: boolean) => Asker {
  if (keys.length === 0) return () => anybody;
  const askers = new Map(keys.map((key) => [digest(key.key), toAsker(key)]));
  const remembered = new Map<string | undefined, Asker>();
  return (authorization, open) => {
    if (open) return anybody;
    const known = remembered.get(authorization);
    if (known) return known;
    const key = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (key === undefined) {
      throw new GatewayError(
        "unauthenticated",
        "You did not provide an API key. Send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'.",
      );
    }
    const asker = askers.get(digest(key));
    if (!asker) throw new GatewayError("unauthenticated", `Incorrect API key provided: ${masked(key)}.`);
    if (remembered.size < REMEMBERED && (authorization?.length ?? 0) <= LONGEST) remembered.set(authorization, asker);
    return asker;
  };
}
