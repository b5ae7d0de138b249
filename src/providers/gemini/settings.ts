import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";
import { readEffort } from "../translate/effort.ts";
import { isRecord, type Json } from "../translate/json.ts";
import { subsetOf, type SchemaSubset } from "../translate/schema-subset.ts";
import { readStops } from "../translate/stops.ts";
import { readTools, type Tool, type ToolChoice } from "../translate/tools.ts";
import { unsupported } from "../translate/unsupported.ts";
import { thinkingConfig } from "./thinking.ts";

/** What the API knows of JSON Schema: https://ai.google.dev/api/generate-content#GenerationConfig, `responseJsonSchema`, 2026-11. */
const schemas: SchemaSubset = {
  known: new Set(
    (
      "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf " +
      "oneOf properties additionalProperties required propertyOrdering"
    ).split(" "),
  ),
  closed: false,
};

const names: Readonly<Record<string, string>> = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  n: "candidateCount",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
};

const SEEDS = 2 ** 31;

/** Their seed has 32 bits. A longer one is folded: the same one still gives the same answer. */
function seedOf(seed: unknown): Json {
  if (typeof seed !== "number") return {};
  return { seed: seed >= -SEEDS && seed < SEEDS ? seed : Math.abs(seed % SEEDS) };
}

function formatOf(format: unknown): Json {
  if (!isRecord(format)) return {};
  const { type, json_schema: said } = format;
  if (type === "json_object") return { responseMimeType: "application/json" };
  if (type !== "json_schema") return {};
  const schema = isRecord(said) ? said["schema"] : undefined;
  return { responseMimeType: "application/json", ...(isRecord(schema) ? { responseJsonSchema: subsetOf(schema, schemas) } : {}) };
}

function logprobsOf({ logprobs, top_logprobs: top }: ChatBody): Json {
  if (logprobs !== true) return {};
  return { responseLogprobs: true, ...(typeof top === "number" && top > 0 ? { logprobs: top } : {}) };
}

export interface SettingsOptions {
  readonly upstream: string;
  readonly model: string;
  /** Takes the names of what was left out. */
  readonly dropped: Set<string>;
  /** Fields of the request with their own digits. */
  readonly exact: (field: string) => unknown;
}

/** `generationConfig`; undefined when the request asks for nothing of it. */
export function generationConfig(body: ChatBody, { model, dropped, exact }: SettingsOptions): Json | undefined {
  const { max_completion_tokens: most, max_tokens: older } = body;
  const stops = readStops(body);
  const limit = most ?? older;
  const renamed = Object.entries(names).flatMap(([from, to]) =>
    body[from] === undefined || body[from] === null ? [] : [[to, body[from]]],
  );
  const effort = readEffort(body);
  const thinking = effort && thinkingConfig(model, effort);
  if (effort && !thinking) dropped.add("reasoning_effort");
  const config = {
    ...(Object.fromEntries(renamed) as Json),
    ...seedOf(body.seed),
    ...(typeof limit === "number" ? { maxOutputTokens: limit } : {}),
    ...(stops.length > 0 ? { stopSequences: stops } : {}),
    ...logprobsOf(body),
    ...formatOf(exact("response_format")),
    ...(thinking ? { thinkingConfig: thinking } : {}),
  };
  return Object.keys(config).length > 0 ? config : undefined;
}

function declarationOf({ name, description, parameters }: Tool): Json {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters && Object.keys(parameters).length > 0 ? { parametersJsonSchema: subsetOf(parameters, schemas) } : {}),
  };
}

const modes = { none: "NONE", auto: "AUTO", required: "ANY" } as const;

function callingConfig(choice: ToolChoice, tools: readonly Tool[]): Json {
  if (choice.mode !== "named") return { mode: modes[choice.mode] };
  if (tools.some(({ name }) => name === choice.name)) return { mode: "ANY", allowedFunctionNames: [choice.name] };
  throw new GatewayError("invalid_request", "Invalid 'tool_choice': it names a function that is not in `tools`.", { param: "tool_choice" });
}

/** `tools` and `toolConfig`. */
export function toolSettings(body: ChatBody, { upstream, dropped, exact }: SettingsOptions): Json {
  const given = exact("tools");
  const { tools, native, choice, parallel } = readTools(body, upstream, given);
  const [foreign] = native;
  if (foreign && Array.isArray(given))
    throw unsupported(upstream, `tools[${given.indexOf(foreign)}].type`, "only functions can be declared there");
  if (tools.length === 0) return {};
  // The models decide by themselves how many calls they make at once.
  if (parallel === false) dropped.add("parallel_tool_calls");
  const config = choice ? { toolConfig: { functionCallingConfig: callingConfig(choice, tools) } } : {};
  return { tools: [{ functionDeclarations: tools.map(declarationOf) }], ...config };
}
