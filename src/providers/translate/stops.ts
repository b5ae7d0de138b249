import type { ChatBody } from "../../model/request.ts";
import { isText } from "./json.ts";

/** The texts at which an answer shall end. An empty one stops nothing, and is refused by APIs that know no such thing. */
export function readStops({ stop }: ChatBody): readonly string[] {
  return (Array.isArray(stop) ? (stop as readonly unknown[]) : [stop]).filter(isText);
}
