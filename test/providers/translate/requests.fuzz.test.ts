import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { checkChatBody } from "../../../src/http/openai/check.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import { chatRequest, readSource, type ChatRequest } from "../../../src/model/request.ts";
import { traitsOf } from "../../../src/providers/anthropic/models.ts";
import * as anthropic from "../../../src/providers/anthropic/request.ts";
import * as bedrock from "../../../src/providers/bedrock/request.ts";
import * as gemini from "../../../src/providers/gemini/request.ts";

const any = fc.jsonValue({ maxDepth: 3 });
/** Mostly of the type that is expected, so that the door lets most of it in. */
const mostly = (usual: fc.Arbitrary<unknown>) => fc.oneof({ weight: 9, arbitrary: usual }, any);
const object = mostly(fc.dictionary(fc.string(), any));
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("", "{}", '{"a":12345678901234567890}', "data:image/png;base64,iVBO", "https://a.example/b.png"),
);
const part = fc.oneof(
  fc.record({ type: fc.constantFrom("text", "refusal"), text, refusal: mostly(text) }),
  fc.record({ type: fc.constant("image_url"), image_url: mostly(fc.record({ url: text, detail: any })) }),
  fc.record({ type: fc.constant("file"), file: mostly(fc.record({ file_data: text, filename: mostly(text) })) }),
  fc.record({
    type: fc.constant("input_audio"),
    input_audio: mostly(fc.record({ data: text, format: fc.constantFrom("wav", "ogg") })),
  }),
  fc.record({ type: fc.string(), x: any }),
);
const content = mostly(fc.oneof(text, fc.array(part, { minLength: 1, maxLength: 3 })));
const call = (id: string) =>
  fc.record({
    id: fc.constant(id),
    type: fc.constant("function"),
    function: fc.record({ name: text, arguments: text }),
    extra_content: any,
  });
const round = fc.tuple(call("c1"), content, any).map(([made, told, rest]) => [
  { role: "assistant", content: null, tool_calls: [made], reasoning_details: rest },
  { role: "tool", tool_call_id: "c1", content: told },
]);
const message = fc.oneof(
  fc
    .record({
      role: fc.constantFrom("user", "system", "developer", "assistant"),
      content,
      name: mostly(fc.constantFrom("ada", null)),
      extra_content: any,
    })
    .map((one) => [one]),
  round,
);
const known = {
  tools: fc.array(
    fc.record({
      type: fc.constantFrom("function", "custom", "x"),
      function: fc.record({ name: fc.constantFrom("f", "g"), parameters: object, strict: mostly(fc.boolean()) }),
    }),
    { maxLength: 2 },
  ),
  tool_choice: fc.oneof(
    fc.constantFrom("none", "auto", "required"),
    fc.record({
      type: fc.constantFrom("function", "allowed_tools"),
      function: mostly(fc.record({ name: fc.constantFrom("f", "h") })),
      allowed_tools: mostly(fc.record({ mode: fc.constantFrom("auto", "required"), tools: fc.array(object) })),
    }),
  ),
  response_format: fc.record({
    type: fc.constantFrom("json_schema", "json_object", "text"),
    json_schema: fc.record({ name: fc.constant("x"), schema: object }),
  }),
  reasoning_effort: fc.constantFrom("none", "low", "max"),
  stop: fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 4 })),
  seed: fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  reasoning: any,
  service_tier: mostly(fc.constantFrom("auto", "flex", "toString")),
  functions: fc.array(mostly(fc.record({ name: fc.constantFrom("f", "g"), parameters: object }))),
  function_call: mostly(fc.constantFrom("none", "auto", { name: "f" })),
  top_k: any,
  foo: any,
  logit_bias: mostly(fc.constantFrom({}, { 1: 2 })),
  audio: object,
  frequency_penalty: mostly(fc.constantFrom(0, 1)),
  user: mostly(text),
};
const keys = Object.keys(known) as (keyof typeof known)[];
const fields = fc
  .subarray(keys, { maxLength: 3 })
  .chain((some) => fc.record(Object.fromEntries(some.map((key) => [key, known[key] as fc.Arbitrary<unknown>]))));
const body = fc
  .tuple(fc.array(message, { minLength: 1, maxLength: 4 }), fields)
  .map(([messages, rest]) => ({ model: "m", messages: messages.flat(), ...rest }));

/** The request, when the door lets it in. */
function admitted(given: object): ChatRequest | undefined {
  const { body: read, source } = readSource(Buffer.from(JSON.stringify(given)));
  try {
    return chatRequest(checkChatBody(read), source);
  } catch (thrown) {
    if (thrown instanceof GatewayError) return undefined;
    throw thrown;
  }
}

describe.each<readonly [string, (request: ChatRequest) => { readonly bytes: Buffer }]>([
  [
    "anthropic",
    (request) =>
      anthropic.writeRequest(
        request,
        { delivery: "unary" },
        { upstream: "up/a", model: "claude-opus-4-1", traits: traitsOf("claude-opus-4-1"), recall: () => undefined },
      ),
  ],
  ["gemini", (request) => gemini.writeRequest(request, { model: "gemini-3-pro", upstream: "up/a" })],
  ["bedrock", (request) => bedrock.writeRequest(request, { model: "anthropic.claude-sonnet-4-5", upstream: "up/a" })],
])("%s", (_, write) => {
  test("writes JSON or refuses by name, whatever the door lets in", () => {
    let written = 0;
    fc.assert(
      fc.property(body, (given) => {
        const request = admitted(given);
        if (!request) return;
        try {
          JSON.parse(write(request).bytes.toString("utf8"));
          written += 1;
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(GatewayError);
          const { status, details } = thrown as GatewayError;
          expect([status, typeof details.param]).toEqual([400, "string"]);
        }
      }),
      { numRuns: 2000 },
    );
    expect(written).toBeGreaterThan(300);
  });
});
