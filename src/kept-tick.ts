import { executionAsyncResource } from "node:async_hooks";

let kept: object | undefined;

/**
 * Keeps one object of `process.nextTick` for ever. V8 forgets how such an object looks when none is alive at a full collection, as is usual while
 * nobody asks anything, and does not learn it again: from then on each is written by a call into C++, half a microsecond, and a request has some ten.
 */
export function keepTick(): void {
  process.nextTick(() => {
    kept ??= executionAsyncResource();
  });
}
