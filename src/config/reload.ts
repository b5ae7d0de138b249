import { unwatchFile, watchFile, type Stats } from "node:fs";

export interface Watch {
  close(): void;
}

/**
 * Tells when the file at `path` has changed. It asks for the file's state instead of listening for events: those miss a swapped symlink, which is
 * how Kubernetes renews a mounted config. A file that is gone for the moment tells nothing.
 */
export function watchConfig(path: string, onChange: () => void, intervalMs = 1000): Watch {
  const listener = (now: Stats, before: Stats) => {
    const isThere = now.nlink > 0;
    if (isThere && (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size)) onChange();
  };
  watchFile(path, { interval: intervalMs, persistent: false }, listener);
  return { close: () => unwatchFile(path, listener) };
}
