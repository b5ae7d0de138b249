import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import { completing } from "../model/complete.ts";
import { textOf, type Completion } from "../model/completion.ts";
import { GatewayError } from "../model/errors.ts";
import { answerHeaders, usd } from "./answer-headers.ts";
import { rootCall, type Asked } from "./asked.ts";
import type { Outcome } from "./closing.ts";
import { extensionOf } from "./extension.ts";
import { completionPieces, type Pieces } from "./openai/completion.ts";

const answered: Outcome = { status: 200, stream: false };

/** Answers a request as one JSON body. Throws what the model throws; nothing has gone out then. */
export function answerWhole(asked: Asked, call: Call, reply: ServerResponse): Promise<Outcome> {
  const { entry, request } = asked;
  return completing(entry.model, request, rootCall(call, entry), (result) => {
    if (!result.ok) throw result.error;
    return send(asked, call, { reply, completion: result.completion });
  });
}

function send(
  asked: Asked,
  call: Call,
  { reply, completion }: { readonly reply: ServerResponse; readonly completion: Completion },
): Outcome {
  const { request, narrowing } = asked;
  const pieces = completionPieces(completion, {
    identity: call.identity,
    usage: call.ledger.usage(),
    summed: call.ledger.legs.length > 1,
    extension: narrowing.expose === "none" ? undefined : extensionOf(call, narrowing.expose, call.clock.now()),
  });
  sendWhole(asked, call, { reply, pieces });
  if (!asked.entered.served.logContent) return answered;
  return { status: 200, stream: false, content: { messages: request.body.messages, answer: textOf(completion) } };
}

/** Sends a whole answer's JSON. Strings among the pieces are latin1. */
export function sendWhole(
  { entered, entry }: Asked,
  call: Call,
  { reply, pieces }: { readonly reply: ServerResponse; readonly pieces: Pieces },
): void {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const headers = ["content-type", "application/json", "content-length", String(length), ...entered.headers, ...answerHeaders(call, entry)];
  const cost = usd(call);
  if (cost !== undefined) headers.push("x-chorale-cost-usd", cost);
  const endMs = call.clock.now();
  call.trace.root.endMs = endMs;
  headers.push("server-timing", `total;dur=${Math.round(endMs - entered.startMs)}`);
  if (reply.destroyed) throw new GatewayError("client_closed", "The client closed the connection.");
  reply.writeHead(200, headers);
  for (let index = 0; index < pieces.length - 1; index += 1) reply.write(pieces[index], "latin1");
  reply.end(pieces.at(-1), "latin1");
}
