import type { Provider } from "./define.ts";
import { demo } from "./demo.ts";
import { openai } from "./openai.ts";

const all: readonly Provider[] = [openai, demo];

/** Every wire dialect there is, by name. */
export const providers: ReadonlyMap<string, Provider> = new Map(all.map((provider) => [provider.kind, provider]));
