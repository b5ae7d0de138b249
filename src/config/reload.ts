import { statSync, unwatchFile, watchFile, type Stats } from "node:fs";

export interface Watch {
  /** Notes that the file was read as it is now, for whatever reason: this state is no change any more. */
  seen(): void;
  close(): void;
}

/** What changes with the file; undefined while it is gone. */
function stateOf({ mtimeMs, ino, size, nlink }: Stats): string | undefined {
  return nlink > 0 ? `${mtimeMs} ${ino} ${size}` : undefined;
}

/**
 * Tells when the file at `path` has changed. It asks for the file's state instead of listening for events: those miss a swapped symlink, which is
 * how Kubernetes renews a mounted config. A file that is gone for the moment tells nothing.
 */
export function watchConfig(path: string, onChange: () => void, intervalMs = 1000): Watch {
  let known: string | undefined;
  const current = () => {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats && stateOf(stats);
  };
  const listener = (now: Stats, before: Stats) => {
    const state = stateOf(now);
    if (state === undefined || state === stateOf(before)) return;
    // Asked anew: what comes here may be older than what was read since.
    if (known === undefined || current() !== known) onChange();
  };
  watchFile(path, { interval: intervalMs, persistent: false }, listener);
  return {
    seen: () => {
      known = current();
    },
    close: () => unwatchFile(path, listener),
  };
}
