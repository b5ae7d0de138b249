/** What an upstream of the Messages API writes. */
import { json, sse, type Script } from "../../support/upstream.ts";

/** One event of the stream. */
export function event(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

export type Block = Readonly<Record<string, unknown>> & { readonly type: string };

export interface Answered {
  readonly blocks: readonly Block[];
  readonly stop?: string;
  readonly sequence?: string | null;
  readonly details?: object;
  readonly usage?: Readonly<Record<string, unknown>>;
}

const usage = { input_tokens: 7, output_tokens: 3 };

/** Text cut into pieces of three characters, so that several deltas come. */
function pieces(text: string): readonly string[] {
  return text.match(/[^]{1,3}/gu) ?? [];
}

function blockEvents(block: Block, index: number): readonly string[] {
  const { type, text, thinking, signature, input, citations } = block;
  const delta = (fields: object) => event("content_block_delta", { index, delta: fields });
  const start = (fields: object) => event("content_block_start", { index, content_block: { ...block, ...fields } });
  const middle = (): readonly string[] => {
    if (type === "text") {
      const cited = (citations as readonly object[] | undefined) ?? [];
      return [
        start({ text: "" }),
        ...pieces(String(text)).map((piece) => delta({ type: "text_delta", text: piece })),
        ...cited.map((citation) => delta({ type: "citations_delta", citation })),
      ];
    }
    if (type === "thinking") {
      return [
        start({ thinking: "", signature: "" }),
        ...pieces(String(thinking)).map((piece) => delta({ type: "thinking_delta", thinking: piece })),
        ...(signature === undefined ? [] : [delta({ type: "signature_delta", signature })]),
      ];
    }
    if (type !== "tool_use") return [start({})];
    const text_ = JSON.stringify(input);
    const parts = text_ === "{}" ? [] : pieces(text_);
    return [
      start({ input: {} }),
      delta({ type: "input_json_delta", partial_json: "" }),
      ...parts.map((part) => delta({ type: "input_json_delta", partial_json: part })),
    ];
  };
  return [...middle(), event("content_block_stop", { index })];
}

/** An answer as the events of a stream. */
export function streamed({ blocks, stop = "end_turn", sequence = null, details, usage: counted = usage }: Answered): readonly string[] {
  const { output_tokens: output, output_tokens_details: thinking, ...input } = counted;
  return [
    event("message_start", {
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude-x",
        content: [],
        stop_reason: null,
        usage: { ...input, output_tokens: 1 },
      },
    }),
    event("ping"),
    ...blocks.flatMap(blockEvents),
    event("message_delta", {
      delta: { stop_reason: stop, stop_sequence: sequence, ...(details ? { stop_details: details } : {}) },
      usage: { output_tokens: output, ...(thinking ? { output_tokens_details: thinking } : {}) },
    }),
    event("message_stop"),
  ];
}

/** The same answer as one object. */
export function whole({ blocks, stop = "end_turn", sequence = null, details, usage: counted = usage }: Answered): object {
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude-x",
    content: blocks,
    stop_reason: stop,
    stop_sequence: sequence,
    ...(details ? { stop_details: details } : {}),
    usage: counted,
  };
}

/** Answers as it is asked: streamed or whole. */
export function answering(answered: Answered): Script {
  return (exchange) => {
    const script = exchange.request.json["stream"] === true ? sse(streamed(answered)) : json(200, whole(answered));
    return script(exchange);
  };
}

export const plain: Answered = { blocks: [{ type: "text", text: "It is 4." }] };
