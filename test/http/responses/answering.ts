import { onTestFinished } from "vitest";
import { clientKey, startPair, type PairOptions } from "../../support/gateway.ts";
import type { Scripts } from "../../support/upstream.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A gateway before a scripted upstream, and how to ask it for responses. */
export async function startResponses(scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) {
  const pair = await startPair(scripts, { onFinished: onTestFinished, ...options });
  const send = (method: string, path: string, body?: Fields | string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(pair.gateway.url + path, {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${clientKey}`, ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  return {
    ...pair,
    send,
    /** Posts a request; `model` and `input` have defaults. */
    ask: (body: Fields = {}, headers: Readonly<Record<string, string>> = {}) =>
      send("POST", "/responses", { model: "up/a", input: "What is 2+2?", ...body }, headers),
  };
}

/** One event of a stream. */
export interface ResponseEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

/** The events of a stream. Throws when a frame is not `event:` and `data:` with the same type, or a number is left out. */
export function responseEvents(text: string): readonly ResponseEvent[] {
  if (!text.endsWith("\n\n")) throw new Error("the last frame is not whole");
  const frames = text
    .slice(0, -2)
    .split("\n\n")
    .filter((frame) => !frame.startsWith(":"));
  return frames.map((frame, index) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? [];
    if (name === undefined || data === undefined) throw new Error(`not an event: ${frame}`);
    const event = JSON.parse(data) as ResponseEvent;
    if (event.type !== name) throw new Error(`${name} has the type ${event.type}`);
    if (event.sequence_number !== index) throw new Error(`${name} has the number ${event.sequence_number}, not ${index}`);
    return event;
  });
}

/** What is wrong with the order and the parts of a stream's events; empty when nothing is. */
export function wrongEvents(events: readonly ResponseEvent[]): readonly string[] {
  const wrong: string[] = [];
  const open = new Map<number, { readonly id: unknown; text: string }>();
  const done: unknown[] = [];
  const last = events.at(-1);
  const state = last?.["response"] as Fields | undefined;
  const ids = new Set(events.filter((event) => event["response"]).map((event) => (event["response"] as Fields)["id"]));
  if (ids.size !== 1) wrong.push(`ids: ${[...ids].join(", ")}`);
  if (events[0]?.type !== "response.created" || events[1]?.type !== "response.in_progress") wrong.push("does not begin as a response");
  for (const event of events) {
    const index = event["output_index"] as number | undefined;
    if (index === undefined) continue;
    const item = event["item"] as Fields | undefined;
    if (event.type === "response.output_item.added") {
      if (index !== open.size + done.length) wrong.push(`item ${index} is out of order`);
      open.set(index, { id: item?.["id"], text: "" });
      continue;
    }
    const known = open.get(index);
    if (!known) wrong.push(`${event.type} for item ${index}, which is not open`);
    else if (event.type === "response.output_item.done") {
      if (item?.["id"] !== known.id) wrong.push(`item ${index} changes its id`);
      done.push(item);
      open.delete(index);
    } else if (event["item_id"] !== known.id) wrong.push(`${event.type} has the id ${String(event["item_id"])}`);
    else if (event.type.endsWith(".delta")) known.text += String(event["delta"]);
    else if (event.type.endsWith("text.done") || event.type.endsWith("arguments.done") || event.type.endsWith("input.done")) {
      const told = event["text"] ?? event["arguments"] ?? event["input"];
      if (told !== known.text) wrong.push(`${event.type} tells another text than its deltas`);
      known.text = "";
    }
  }
  if (open.size > 0) wrong.push("an item was not ended");
  if (!["response.completed", "response.incomplete"].includes(last?.type ?? "")) wrong.push(`ends with ${last?.type}`);
  else if (JSON.stringify(state?.["output"]) !== JSON.stringify(done)) wrong.push("the last state has other items");
  return wrong;
}

/** Keys that the schema of a response demands. */
const required = (
  "id object created_at status error incomplete_details instructions metadata model output " +
  "parallel_tool_calls temperature tool_choice tools top_p"
).split(" ");

/** What is wrong with a response as the official schema has it; empty when nothing is. */
export function wrongResponse(response: Fields): readonly string[] {
  const wrong = required.filter((key) => response[key] === undefined).map((key) => `no ${key}`);
  for (const key of ["user", "usage", "service_tier"]) if (response[key] === null) wrong.push(`${key} is null`);
  if (response["object"] !== "response") wrong.push("not a response");
  const usage = response["usage"] as Fields | undefined;
  if (usage) {
    const details = [usage["input_tokens_details"], usage["output_tokens_details"]] as (Fields | undefined)[];
    const numbers = [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], details[0]?.["cached_tokens"]];
    if (![...numbers, details[0]?.["cache_write_tokens"], details[1]?.["reasoning_tokens"]].every(Number.isInteger)) wrong.push("usage");
  }
  return wrong;
}
