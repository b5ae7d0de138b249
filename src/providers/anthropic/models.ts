/** What one generation of models takes, where the API differs by model. */
export interface Traits {
  /** One of the API's own maker. */
  readonly known: boolean;
  /** How it is told to think: not at all, with a budget of tokens, or with an effort that it spends as it sees fit. */
  readonly thinking: "none" | "budget" | "adaptive";
  /** Takes `temperature`, `top_p` and `top_k`. */
  readonly sampling: boolean;
  /** Enforces a JSON Schema by itself; undefined where nobody knows. */
  readonly schema: boolean | undefined;
  /** Takes `output_config.effort`. */
  readonly effort: boolean;
  /** Efforts above `high` that it knows. */
  readonly efforts: readonly string[];
  /** The most tokens that it may write, sent when the request sets no bound: the API wants one. */
  readonly maxTokens: number;
  /** Lets a call be forced. */
  readonly forces: boolean;
  /** Can be told not to think. */
  readonly disables: boolean;
  /** Goes on with a given beginning of its answer. */
  readonly continues: boolean;
}

/** A server of another maker behind the same API: everything is sent as it is asked for. */
const unknown: Traits = {
  known: false,
  thinking: "budget",
  sampling: true,
  schema: undefined,
  effort: true,
  efforts: ["xhigh", "max"],
  maxTokens: 16_384,
  forces: true,
  disables: true,
  continues: true,
};

const early = { known: true, sampling: true, effort: false, efforts: [], forces: true, disables: true, continues: true } as const;

/** The version in a model's name, as a number: `claude-3-7-sonnet` is 3.7, `claude-opus-4-1-20250805` is 4.1. A date is no version. */
function versionOf(name: string): number | undefined {
  const found = /(?:^|[-./])(\d{1,2})(?:[-.](\d{1,2}))?(?=$|[-@:.])/.exec(name);
  return found ? Number(`${found[1]}.${found[2] ?? 0}`) : undefined;
}

function isSampling(family: string, version: number): boolean {
  if (family === "opus") return version < 4.7;
  if (family === "haiku") return version < 5.5;
  return family === "sonnet" && version < 5;
}

/** The generation that decides by itself whether it thinks and what it calls. */
function isNewest(family: string, version: number): boolean {
  // A name without a version may be any: the server says itself what it does not take.
  if (version === Infinity) return false;
  if (family === "opus" || family === "sonnet") return version >= 5.5;
  return family === "fable" && version >= 5.1;
}

/** What is known of a model, by its name. Sources: the API's own documents and type definitions, 2026-11. A newer name is taken for the newest. */
export function traitsOf(model: string): Traits {
  const name = /claude-(.*)$/i.exec(model)?.[1]?.toLowerCase();
  if (name === undefined) return unknown;
  const version = versionOf(name) ?? Infinity;
  const family = /opus|sonnet|haiku|fable/.exec(name)?.[0] ?? "";
  if (version < 3.5) return { ...early, thinking: "none", schema: false, maxTokens: 4096 };
  if (version < 3.7) return { ...early, thinking: "none", schema: false, maxTokens: 8192 };
  if (version < 4.6) {
    const enforces = version >= 4.5 || (family === "opus" && version >= 4.1);
    const effort = family === "opus" && version >= 4.5;
    return { ...early, effort, thinking: "budget", schema: enforces, maxTokens: family === "opus" && version < 4.5 ? 32_000 : 64_000 };
  }
  const efforts = version < 4.7 ? ["max"] : ["xhigh", "max"];
  const takes = !isNewest(family, version);
  return {
    known: true,
    thinking: "adaptive",
    sampling: isSampling(family, version),
    schema: true,
    effort: true,
    efforts,
    maxTokens: 64_000,
    forces: takes,
    disables: takes,
    continues: takes,
  };
}
