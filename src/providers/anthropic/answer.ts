import type { Completion, ToolCall } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import { scanJsonObject } from "../../model/json-scan.ts";
import { elementsOf, isRecord, isText, textOf, type Json } from "../translate/json.ts";
import { placedAfter, type Thought } from "../translate/reasoning.ts";
import { mintedId } from "./call-stream.ts";
import { choiceExtra, finishReason, messageFields, refusalText, signedOf, type Cited, type ReaderContext } from "./ending.ts";
import { inbandError, tellsError } from "./errors.ts";
import { readUsage } from "./usage.ts";

/** What the blocks of an answer say, gathered in their order. */
class Gathered {
  text = "";
  reasoning = "";
  readonly calls: ToolCall[] = [];
  /** The ids that the calls came with. */
  readonly ids: string[] = [];
  readonly thoughts: Thought[] = [];
  readonly cited: Cited[] = [];
  readonly #answer: string;

  constructor(answer: string) {
    this.#answer = answer;
  }

  /** Adds a block; `raw` is its JSON text. Blocks of types that are not known say nothing to a client of this API. */
  add(block: Json, raw: string): void {
    const { type, text, thinking, signature, data, id, name, citations } = block;
    if (type === "text" && typeof text === "string") this.#text(text, citations);
    else if (type === "thinking" && typeof thinking === "string") {
      this.reasoning += thinking;
      this.thoughts.push({ type: "text", text: thinking, ...(isText(signature) ? { signature } : {}), ...this.#place });
    } else if (type === "redacted_thinking" && isText(data)) this.thoughts.push({ type: "encrypted", data, ...this.#place });
    else if (type === "tool_use") {
      const ownId = isText(id) ? id : mintedId(this.#answer, this.calls.length);
      this.calls.push({ id: ownId, type: "function", function: { name: textOf(name), arguments: inputText(raw) } });
      if (isText(id)) this.ids.push(id);
    }
  }

  get #place(): ReturnType<typeof placedAfter> {
    return placedAfter(this.text.length, this.calls.length);
  }

  #text(text: string, citations: unknown): void {
    const from = this.text.length;
    this.text += text;
    if (!Array.isArray(citations)) return;
    for (const citation of (citations as readonly unknown[]).filter(isRecord)) this.cited.push({ citation, from, to: this.text.length });
  }
}

/** The input of a call as it stands in the block: its digits and its order are the model's. */
export function inputText(raw: string): string {
  const span = scanJsonObject(raw).spans.get("input");
  const text = span ? raw.slice(span[1], span[2]) : "{}";
  return text === "null" ? "{}" : text;
}

function failed(upstream: string, what: string, cause?: unknown): GatewayError {
  return new GatewayError("upstream_protocol", `${upstream} sent an answer ${what}.`, {
    upstream,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Reads a whole answer of the Messages API. Throws a GatewayError for what is none. */
export function readAnswer(bytes: Buffer, { upstream, answer, keep }: ReaderContext): Completion {
  const raw = bytes.toString("utf8");
  let body: unknown;
  try {
    body = JSON.parse(raw);
  } catch (thrown) {
    throw failed(upstream, "that is not JSON", thrown);
  }
  if (tellsError(body)) throw inbandError(upstream, body);
  if (!isRecord(body) || !Array.isArray(body["content"])) throw failed(upstream, "without content");
  const gathered = new Gathered(answer);
  const span = scanJsonObject(raw).spans.get("content");
  const raws = span ? elementsOf(raw.slice(span[1], span[2])) : [];
  for (const [index, block] of (body["content"] as readonly unknown[]).entries())
    if (isRecord(block)) gathered.add(block, raws[index] ?? "{}");
  keep(gathered.ids, signedOf(gathered.thoughts));
  return completionOf(body, gathered);
}

function completionOf(body: Json, { text, reasoning, calls, thoughts, cited }: Gathered): Completion {
  const { id, model, stop_reason: stop, stop_sequence: sequence, stop_details: details } = body;
  const refusal = refusalText(stop, details);
  const usage = readUsage(body["usage"]);
  const extra = choiceExtra(sequence, stop, details);
  return {
    ...(isText(id) ? { id } : {}),
    ...(isText(model) ? { model } : {}),
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text === "" && (calls.length > 0 || refusal !== "") ? null : text,
          refusal: refusal === "" ? null : refusal,
          ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
          ...messageFields(cited, thoughts),
        },
        finishReason: finishReason(stop, calls.length > 0),
        logprobs: null,
        ...(extra ? { extra } : {}),
      },
    ],
    ...(usage ? { usage } : {}),
  };
}
