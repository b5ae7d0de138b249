import { memoryStore } from "./memory.ts";
import { sqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

export type StoreChoice = { readonly kind: "memory" } | { readonly kind: "sqlite"; readonly path: string };

/** Opens the store that the config names. `onError` hears of a write that failed; the store tries again. */
export function openStore(choice: StoreChoice, onError: (error: Error) => void): Store {
  if (choice.kind === "memory") return memoryStore();
  return sqliteStore({ path: choice.path, onWrite: (error) => error && onError(error) });
}
