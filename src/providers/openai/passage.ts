import type { ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import { change } from "../../model/request.ts";
import { noteUsage, postBytes, type Endpoint } from "./post-json.ts";
import type { RequestWriter } from "./request.ts";

interface PassageOptions {
  readonly model: string;
  readonly writer: RequestWriter;
  /** The server may not know this form of vectors: it is not asked for. Whoever answers the client makes it. */
  readonly isFloatOnly?: boolean;
}

/** An endpoint whose bodies go through: the client's bytes with the model's name spliced in, and the server's bytes back. */
export function passageLeaf(endpoint: Endpoint, { model, writer, isFloatOnly = false }: PassageOptions): Model {
  const { name } = endpoint;
  return {
    name,
    async *stream(request, call): AsyncGenerator<ModelEvent> {
      const plain = isFloatOnly && request.body["encoding_format"] === "base64" ? change(request, { encoding_format: undefined }) : request;
      const wire = writer.write(plain, model, "unary");
      for (const field of wire.dropped) call.trace.warnings.push(`${name} does not take "${field}"; it was left out`);
      const { bytes, body } = await postBytes(endpoint, wire.bytes, call);
      noteUsage(body, call);
      yield { type: "finish", completion: { choices: [], bytes, extra: { answer: body } } };
    },
  };
}
