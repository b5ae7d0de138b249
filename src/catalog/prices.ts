import type { Usage } from "../model/usage.ts";
import type { Price } from "../config/nodes.ts";

/** The public price list: a price per provider and model, undefined when it knows none. */
export type PriceList = (pricedAs: string, model: string) => Price | undefined;

const MILLION = 1_000_000;

/** A unit price of the list: one number, or a base with dearer tiers for long prompts, of which the base counts here. */
function unit(value: number | { readonly base: number } | undefined): number | undefined {
  return typeof value === "object" ? value.base : value;
}

/** Loads the list. It is 800 KB of data, so only a gateway that needs it pays for it. */
export async function loadPriceList(): Promise<PriceList> {
  const { calcPrice } = await import("@pydantic/genai-prices");
  return (pricedAs: string, model: string) => {
    const units = calcPrice({}, model, { providerId: pricedAs })?.model_price;
    const input = unit(units?.["input_mtok"]);
    // Embedders and rerankers write nothing: theirs are the models that the list prices by input alone.
    const output = Object.keys(units ?? {}).length === 1 ? 0 : unit(units?.["output_mtok"]);
    if (input === undefined || output === undefined) return undefined;
    const cachedIn = unit(units?.["cache_read_mtok"]);
    return { in: input, out: output, ...(cachedIn === undefined ? {} : { cachedIn }) };
  };
}

/** A model's price: what the config says, else the public list, else unknown. */
export function priceOf(
  model: string,
  sources: {
    readonly own: Readonly<Record<string, Price>>;
    readonly pricedAs: string | undefined;
    readonly list: PriceList | undefined;
  },
): Price | undefined {
  const { own, pricedAs, list } = sources;
  if (Object.hasOwn(own, model)) return own[model];
  return pricedAs === undefined ? undefined : list?.(pricedAs, model);
}

/** What a usage costs in US dollars. Cached tokens are a part of the prompt, reasoning is a part of the completion: each token counts once. */
export function costOf(usage: Usage, price: Price): number {
  const cached = Math.min(usage.cachedTokens ?? 0, usage.promptTokens);
  const prompt = (usage.promptTokens - cached) * price.in + cached * (price.cachedIn ?? price.in);
  return (prompt + usage.completionTokens * price.out) / MILLION;
}
