import { anthropic } from "./anthropic.ts";
import { bedrock } from "./bedrock.ts";
import type { Provider } from "./define.ts";
import { demo } from "./demo.ts";
import { gemini } from "./gemini.ts";
import { openai } from "./openai.ts";
import { replay } from "./replay.ts";

const all: readonly Provider[] = [openai, anthropic, gemini, bedrock, demo, replay];

/** Every wire dialect there is, by name. */
export const providers: ReadonlyMap<string, Provider> = new Map(all.map((provider) => [provider.kind, provider]));
