import * as vm from "node:vm";

const script = new vm.Script("job()");

/** One context for the whole process, made when first needed: half a millisecond. No foreign code ever runs in it. */
let context: { job?: () => unknown } | undefined;

export type Interrupted<T> = { readonly done: true; readonly value: T } | { readonly done: false };

function isTimeout(thrown: unknown): boolean {
  return typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}

/**
 * Runs `job` on this thread, and breaks it off after `ms`: V8 interrupts even a regular expression that backtracks, which no timer of ours
 * could. Costs about 0.25 ms. What `job` throws is thrown. It must leave nothing half done: neither `catch` nor `finally` runs in it.
 */
export function runFor<T>(ms: number, job: () => T): Interrupted<T> {
  context ??= vm.createContext({});
  context.job = job;
  try {
    return { done: true, value: script.runInContext(context, { timeout: ms }) as T };
  } catch (thrown) {
    if (isTimeout(thrown)) return { done: false };
    throw thrown;
  } finally {
    delete context.job;
  }
}
