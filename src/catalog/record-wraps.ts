import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Capabilities, ProviderInstance } from "../providers/define.ts";
import { openDraws, withOwnDraws } from "./record-draws.ts";
import type { Recorder } from "./record.ts";

/** What stands round models while history is written or replayed. Without it nothing does. */
export interface Wraps {
  /** Round a leaf, inside what bills it. */
  leaf(leaf: Model, capabilities: Capabilities): Model;
  /** Round every node, leaves included. */
  node(model: Model): Model;
}

export const bare: Wraps = { leaf: (leaf) => leaf, node: (model) => model };

/** Chance in a node does not depend on what runs beside it, so that it can be repeated. */
function withScopedDraws(model: Model): Model {
  return {
    name: model.name,
    stream: (request, call) => ({
      [Symbol.asyncIterator]: () => model.stream(request, withOwnDraws(call))[Symbol.asyncIterator](),
    }),
    unable: (request) => model.unable?.(request),
  };
}

/** Draws for a request of this id: those that it was recorded with, else new ones that are recorded; undefined leaves it to the door. */
export type DrawsFor = (request: ChatRequest, id: string) => (() => number) | undefined;

export function wrapsFor(
  recorder: Recorder | undefined,
  instances: readonly ProviderInstance[],
): { readonly wraps: Wraps; readonly draws?: DrawsFor } {
  const replays = instances.filter((instance) => instance.recall !== undefined);
  if (!recorder && replays.length === 0) return { wraps: bare };
  const seedOf: DrawsFor = (request, id) => {
    // Each is told, so that each knows which request is played.
    const seed = replays.map((replay) => replay.recall?.(request, id)).find((found) => found !== undefined);
    if (recorder) return recorder.draws(request, seed);
    return seed === undefined ? undefined : openDraws(seed);
  };
  return {
    draws: seedOf,
    wraps: {
      leaf: (leaf, capabilities) => recorder?.leaf(leaf, capabilities) ?? leaf,
      node: (model) => {
        const scoped = withScopedDraws(model);
        return recorder?.root(scoped) ?? scoped;
      },
    },
  };
}
