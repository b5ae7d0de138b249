import type { Capabilities } from "../define.ts";
import type { Telling } from "./probe.ts";
import type { RerankWire } from "./rerank.ts";

/** How one server differs from the OpenAI API, as data. Absent means: as OpenAI does it. */
export interface Dialect {
  readonly baseUrl?: string;
  /** Hosts that speak it, where each customer has an own one. */
  readonly hosts?: RegExp;
  /** Where the endpoints of one model are, below the base; `{model}` stands for its name. */
  readonly modelPath?: string;
  /** Stands in every address, unless `baseUrl` brings a query of its own. */
  readonly query?: string;
  /** Whose public price list applies. */
  readonly pricedAs?: string;
  /** The key travels in this header instead of `authorization: Bearer`. */
  readonly keyHeader?: string;
  /** Request fields by another name there. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Request fields that make the server refuse the request and that do not change the answer's meaning: left out, with a warning. */
  readonly drop?: readonly string[];
  /** Request fields that the server can not honour and that the client would miss: refused by name. */
  readonly refuse?: readonly string[];
  /** Explicit nulls make the server fail: they are left out. */
  readonly dropNulls?: boolean;
  /** Knows `stream_options.include_usage`; false where asking is an error. Usage that comes unasked is taken anyway. */
  readonly usageOnRequest?: boolean;
  /** `developer` messages are sent as `system`. */
  readonly systemOnly?: boolean;
  /** Refuses what it does not know: fields that only leaves of another API read are left out. */
  readonly strict?: boolean;
  /** Refuses the `name` of a message: left out, with a warning. */
  readonly unnamed?: boolean;
  /** Fields of an answer that it refuses in the assistant's messages and their calls, where clients send them back: left out. */
  readonly answerOnly?: readonly string[];
  /** Takes images from users alone: those of tool results are sent as a user's. */
  readonly textResults?: boolean;
  /** Ids of calls that it takes; others are written anew. */
  readonly callIds?: RegExp;
  /** The word for `tool_choice: "required"`. */
  readonly toolChoiceRequired?: string;
  /** `n` above 1 is refused or ignored there: independent runs instead. */
  readonly singleChoice?: boolean;
  /** Enforces a `json_schema` by itself. */
  readonly schema?: boolean;
  readonly logprobs?: boolean;
  /** What else any of its models can do. */
  readonly can?: Pick<Capabilities, "continuation" | "tokenise">;
  /** Tells by itself what its models can do. */
  readonly telling?: Telling;
  /** `POST embeddings`: false where there is no such endpoint, `base64` where it can be asked for that. */
  readonly embeddings?: false | "base64";
  /** How it scores documents for a query; false where it does not. */
  readonly rerank?: false | RerankWire;
  /** `POST moderations`; false where there is no such endpoint. */
  readonly moderations?: false;
  /** May heed `metadata`: a gateway routes by it. The servers with a name of their own take it for a label, or do not know it. */
  readonly heedsMetadata?: boolean;
  /** Completes text without a chat's template round it: all of its models, or none; absent means those of OpenAI's that can do nothing else. */
  readonly completions?: boolean;
  /** Fields of a text completion that the server takes and does not heed: refused by name. */
  readonly unread?: readonly string[];
}

/** A cross-encoder or reward model of vLLM under `/score`: the query against each document. */
const scoring: RerankWire = { path: "score", query: "text_1", documents: "text_2" };

const openaiOnly = [
  "service_tier",
  "store",
  "metadata",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "safety_identifier",
  "verbosity",
  "prediction",
] as const;

/** Thoughts and signatures that servers with reasoning give with an answer. The official API has no such fields. */
const thoughts = ["reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "extra_content"] as const;

/** What a client sends back that sends back an answer as it came, and that strict servers do not know at all. */
const answered = [...thoughts, "refusal", "annotations", "audio", "function_call"] as const;

/** OpenAI refuses longer ids of calls; it makes shorter ones itself. */
const shortCallIds = /^[^]{1,40}$/u;

const azure = {
  callIds: shortCallIds,
  textResults: true,
  answerOnly: thoughts,
  strict: true,
  keyHeader: "api-key",
  pricedAs: "azure",
  schema: true,
  logprobs: true,
  embeddings: "base64",
  rerank: false,
  moderations: false,
} as const;

/** By name; a server that is not here is `generic`. Sources: the servers' own documents and source code, 2026-11. */
export const dialects = {
  openai: {
    strict: true,
    callIds: shortCallIds,
    textResults: true,
    answerOnly: thoughts,
    baseUrl: "https://api.openai.com/v1",
    pricedAs: "openai",
    schema: true,
    logprobs: true,
    embeddings: "base64",
    rerank: false,
  },
  /** Azure OpenAI at `https://<resource>.openai.azure.com/openai/v1`; a model is the name of a deployment. */
  azure: { ...azure, hosts: /\.(?:openai\.azure\.(?:com|us|cn)|(?:services\.ai|cognitiveservices)\.azure\.com)$/ },
  /** The older addresses of the same: `baseUrl` ends in `/openai`, every deployment has a path, and every address a version. */
  "azure-deployments": { ...azure, modelPath: "deployments/{model}/", query: "api-version=2024-10-21" },
  openrouter: { baseUrl: "https://openrouter.ai/api/v1", pricedAs: "openrouter", schema: true, moderations: false },
  deepseek: {
    baseUrl: "https://api.deepseek.com/v1",
    pricedAs: "deepseek",
    systemOnly: true,
    singleChoice: true,
    drop: openaiOnly,
    logprobs: true,
    embeddings: false,
    rerank: false,
    moderations: false,
    completions: false,
  },
  mistral: {
    strict: true,
    answerOnly: answered,
    baseUrl: "https://api.mistral.ai/v1",
    pricedAs: "mistral",
    rename: { seed: "random_seed", max_completion_tokens: "max_tokens" },
    // It answers 422 to fields that it does not know.
    drop: [...openaiOnly, "user", "logit_bias", "stream_options", "reasoning_effort"],
    refuse: ["logprobs", "top_logprobs"],
    dropNulls: true,
    usageOnRequest: false,
    systemOnly: true,
    toolChoiceRequired: "any",
    callIds: /^[A-Za-z0-9]{9}$/,
    schema: true,
    logprobs: false,
    rerank: false,
    completions: false,
  },
  groq: {
    strict: true,
    answerOnly: answered,
    baseUrl: "https://api.groq.com/openai/v1",
    pricedAs: "groq",
    // It has service tiers of its own.
    drop: [...openaiOnly.filter((field) => field !== "service_tier"), "logit_bias"],
    unnamed: true,
    textResults: true,
    refuse: ["logprobs", "top_logprobs"],
    singleChoice: true,
    schema: true,
    logprobs: false,
    embeddings: false,
    rerank: false,
    moderations: false,
    completions: false,
  },
  together: {
    baseUrl: "https://api.together.xyz/v1",
    pricedAs: "together",
    systemOnly: true,
    drop: openaiOnly,
    schema: true,
    moderations: false,
    completions: true,
  },
  ollama: {
    baseUrl: "http://127.0.0.1:11434/v1",
    telling: "ollama",
    rename: { max_completion_tokens: "max_tokens" },
    dropNulls: true,
    systemOnly: true,
    singleChoice: true,
    schema: true,
    rerank: false,
    moderations: false,
    completions: true,
    unread: ["n", "best_of", "echo", "logit_bias"],
  },
  "llama.cpp": {
    baseUrl: "http://127.0.0.1:8080/v1",
    telling: "llama.cpp",
    can: { continuation: true, tokenise: true },
    dropNulls: true,
    systemOnly: true,
    schema: true,
    logprobs: true,
    embeddings: "base64",
    moderations: false,
    completions: true,
    unread: ["best_of", "echo", "suffix"],
  },
  vllm: {
    baseUrl: "http://127.0.0.1:8000/v1",
    telling: "vllm",
    can: { tokenise: true },
    dropNulls: true,
    schema: true,
    logprobs: true,
    embeddings: "base64",
    moderations: false,
    completions: true,
  },
  "vllm-score": {
    baseUrl: "http://127.0.0.1:8000/v1",
    dropNulls: true,
    embeddings: false,
    rerank: scoring,
    moderations: false,
    completions: false,
  },
  /** Text Embeddings Inference: reranks at the root of the server, with a word of its own. */
  tei: {
    baseUrl: "http://127.0.0.1:8080/v1",
    singleChoice: true,
    rerank: { path: "/rerank", query: "query", documents: "texts" },
    moderations: false,
    completions: false,
  },
  generic: { heedsMetadata: true },
} as const satisfies Record<string, Dialect>;

export type DialectName = keyof typeof dialects;
