import { enter } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { throwIfAborted } from "../model/errors.ts";
import { change, type ChatRequest } from "../model/request.ts";
import { wholeDelivery } from "./flush.ts";
import type { Reply, Sitting } from "./judging/judge.ts";
import type { Role } from "./seats.ts";
import { asideRequest } from "./turn.ts";
import { emptiness, saidBy } from "./usable.ts";

/** A text that only another step reads. */
export interface Aside {
  /** What the trace calls it, and what its seed derives from. */
  readonly label: string;
  readonly role: Role;
  /** The instruction, filled. It comes after the conversation. */
  readonly text: string;
}

async function asked(
  { label, role }: Omit<Aside, "text">,
  request: ChatRequest,
  { call, signal = call.signal }: Sitting,
): Promise<Reply<string>> {
  if (signal.aborted) return { ok: false, why: "deadline" };
  const inner = enter(call, { label, member: true, delivery: wholeDelivery(call), signal });
  const result = await complete(role.model, request, inner);
  if (!result.ok) return { ok: false, why: signal.aborted ? "deadline" : result.error.code };
  const empty = emptiness(result.completion, "unusable");
  return empty === undefined ? { ok: true, value: saidBy(result.completion) } : { ok: false, why: empty };
}

/** Lets models write texts aside, all at once; they come in their order. A failure is a value; throws only when the call was aborted. */
export async function writeAside(asides: readonly Aside[], sitting: Sitting): Promise<readonly Reply<string>[]> {
  const { request, call } = sitting;
  const replies = await Promise.all(
    asides.map((aside) => {
      const { label, role, text } = aside;
      const content = asideRequest(request, text, { label, settings: role.settings });
      return asked(aside, content.body.n === undefined ? content : change(content, { n: undefined }), sitting);
    }),
  );
  throwIfAborted(call.signal);
  return replies;
}

/** Lets models answer `requests` of their own, in the client's own format; else as `writeAside`. */
export async function answerAside(
  asides: readonly (Omit<Aside, "text"> & { readonly request: ChatRequest })[],
  sitting: Sitting,
): Promise<readonly Reply<string>[]> {
  const replies = await Promise.all(asides.map((aside) => asked(aside, aside.request, sitting)));
  throwIfAborted(sitting.call.signal);
  return replies;
}
