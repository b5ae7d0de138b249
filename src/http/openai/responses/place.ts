import type { Json } from "./json.ts";

/** Where an item stands in the output, and who tells of it. */
export interface Place {
  readonly id: string;
  /** Tells an event of this item; its `output_index` is added. */
  readonly emit: (type: string, fields: Json) => void;
}
