import { hash } from "node:crypto";
import type { Call } from "../../model/call.ts";
import type { ChatRequest, Message } from "../../model/request.ts";

/** Fields by which a client says what belongs together, the narrowest first. */
const FIELDS = ["prompt_cache_key", "safety_identifier", "user"];

/** What all turns of a conversation begin with: everything up to the first user message. */
function opening(messages: readonly Message[]): readonly Message[] {
  return messages.slice(0, messages.findIndex(({ role }) => role === "user") + 1 || 1);
}

/**
 * What requests of one session have in common: the client's own key for it, else the beginning of the conversation, which the turns of an
 * agent's loop share, and with them the prompt that a server may have cached. Sessions of different principals are never one.
 */
export function sessionOf({ body }: ChatRequest, { principal }: Call): string {
  const field = FIELDS.find((name) => typeof body[name] === "string" && body[name] !== "");
  const key = field === undefined ? ["messages", opening(body.messages)] : [field, body[field]];
  return hash("sha256", JSON.stringify([principal.name, ...key]));
}

const DIGITS = 13;

/** Uniform in (0, 1), the same for the same two texts in every process and version. */
function drawOf(session: string, id: string): number {
  return (Number.parseInt(hash("sha256", `${session}\n${id}`).slice(0, DIGITS), 16) + 0.5) / 16 ** DIGITS;
}

/**
 * How far a member is from a session; the nearest has it (weighted rendezvous hashing). A member that leaves loses its sessions to the others,
 * one that joins takes its share of each, and no other session moves.
 */
export function distance(session: string, { id, weight }: { readonly id: string; readonly weight: number }): number {
  return -Math.log(drawOf(session, id)) / weight;
}
