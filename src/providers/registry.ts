import type { Provider } from "./define.ts";
import { demo } from "./demo.ts";
import { openai } from "./openai.ts";
import { replay } from "./replay.ts";

const all: readonly Provider[] = [openai, demo, replay];

/** Every wire dialect there is, by name. */
export const providers: ReadonlyMap<string, Provider> = new Map(all.map((provider) => [provider.kind, provider]));
