import { Aborter, type Signal } from "./abort.ts";
import type { Call } from "./call.ts";
import type { GatewayError } from "./errors.ts";

/** A signal of one's own below a parent's: aborts with the parent, or by itself. Dispose of it, or the parent keeps a listener. */
export interface Scope extends Disposable {
  readonly signal: Signal;
  abort(reason: GatewayError): void;
}

/** A class and not a literal with `[Symbol.dispose]` in it: V8 makes those in C++, each time. */
class OwnScope implements Scope {
  readonly #parent: Signal;
  readonly #controller = new Aborter();
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: Signal) {
    this.#parent = parent;
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
  }

  get signal(): Signal {
    return this.#controller.signal;
  }

  abort(reason: GatewayError): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#parent.removeEventListener("abort", this.#follow);
  }
}

/** A scope that ends by itself after a time. */
class Deadline extends OwnScope {
  readonly #timer: Disposable;

  constructor(call: Call, ms: number, reason: () => GatewayError) {
    super(call.signal);
    this.#timer = call.clock.timer(ms, () => this.abort(reason()));
  }

  override [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/** Opens a scope below `parent`. */
export function openScope(parent: Signal): Scope {
  return new OwnScope(parent);
}

/** A scope that aborts after `ms` with the given code; undefined or infinite means never. */
export function openDeadline(call: Call, ms: number | undefined, reason: () => GatewayError): Scope {
  return ms === undefined || ms === Infinity ? new OwnScope(call.signal) : new Deadline(call, ms, reason);
}
