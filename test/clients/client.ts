/** What a client of other people's is for a test: the same few things, done in its own way. */
import { readFileSync } from "node:fs";

/** Where a client is sent. `maxRetries` are its own; each client waits as it always does. */
export interface Place {
  /** Up to and with `/v1`. */
  readonly baseURL: string;
  readonly apiKey: string;
  readonly model: string;
  readonly maxRetries: number;
}

/** What a client made of a whole answer. */
export interface Said {
  readonly text: string;
  /** Of the prompt and of the answer. */
  readonly tokens: readonly [number | undefined, number | undefined];
}

export interface Tooled {
  /** The tool that the client runs when the model asks for it. */
  readonly add: (a: number, b: number) => number;
  readonly stream: boolean;
}

export interface Leaving {
  readonly signal: AbortSignal;
  /** Called at the first piece of text. */
  readonly onText: () => void;
}

export interface Client {
  /** One row of the matrix. */
  readonly id: string;
  readonly library: string;
  readonly version: string;
  readonly api: string;
  /** The classes of its errors for a wrong key, an unknown model and messages that are too long. */
  readonly errors: readonly [string, string, string];
  /** It reads `x-should-retry`. */
  readonly heeds: boolean;
  plain(place: Place, signal?: AbortSignal): Promise<Said>;
  /** The pieces of text as they came; throws when the stream breaks. */
  stream(place: Place): Promise<readonly string[]>;
  /** Asks, runs the tool and asks again until there is a text. */
  tools(place: Place, tooled: Tooled): Promise<string>;
  /** An answer of the schema of `answerSchema`, parsed and checked by the client. */
  parsed(place: Place): Promise<unknown>;
  /** Starts a stream and reads until it is told to leave. */
  leave(place: Place, leaving: Leaving): Promise<void>;
}

export const question = "What is 2+3?";
export const toolQuestion = "What is 2+3? Use add.";
export const jsonQuestion = "What is 2+3? Answer as JSON.";

/** The version of an installed package. */
export function versionOf(library: string): string {
  const manifest = new URL(`../../node_modules/${library}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
}
