/** Scripted models as a provider of the real catalog, which write down what each upstream call was and what it should be billed. */
import * as z from "zod";
import { promptTokens, readTokens } from "../../src/catalog/estimate.ts";
import type { Call } from "../../src/model/call.ts";
import { collect } from "../../src/model/collect.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { CONTENT, type ModelEvent } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import { ownRequest, type ChatRequest } from "../../src/model/request.ts";
import type { Span } from "../../src/model/trace.ts";
import type { Usage } from "../../src/model/usage.ts";
import { defineProvider, type Provider } from "../../src/providers/define.ts";
import { fakeRanks, fakeVector } from "./build.ts";
import type { FakeModel } from "./fake-model.ts";

/** One upstream call as the upstream saw it. */
export interface SeenLeg {
  readonly upstream: string;
  readonly span: Span;
  status: "open" | "ok" | "failed" | "cancelled";
  /** What it is owed; an upstream that refused with a status is owed nothing. */
  usage: Usage;
}

const nothing: Usage = { promptTokens: 0, completionTokens: 0 };

/** Tokens that a request lets an answer have. */
function boundOf({ body }: ChatRequest): number {
  return (body.max_completion_tokens ?? body.max_tokens ?? Infinity) * (typeof body.n === "number" ? body.n : 1);
}

/** One call that is under way: counts a token for each batch, notes it in the span as a leaf does, and says in two of three cases what it used. */
class Under {
  readonly leg: SeenLeg;
  readonly #request: ChatRequest;
  readonly #isCounting: boolean;
  readonly #prompt: number;
  #written = 0;

  constructor(leg: SeenLeg, request: ChatRequest, isCounting: boolean) {
    this.leg = leg;
    this.#request = request;
    this.#isCounting = isCounting;
    this.#prompt = Math.min(7, promptTokens(request));
    leg.span.sent = true;
  }

  #note(written: number): Usage {
    this.#written = Math.min(written, boundOf(this.#request));
    const usage = { promptTokens: this.#prompt, completionTokens: this.#written };
    this.leg.span.usage = usage;
    this.leg.usage = usage;
    return usage;
  }

  seen(event: ModelEvent): ModelEvent {
    if (event.type === "batch" && (event.flags & CONTENT) !== 0) this.#note(this.#written + 1);
    if (event.type !== "finish") return event;
    const { completion, usage: _, ...rest } = event;
    const usage = this.#note(completion ? 3 * completion.choices.length : this.#written);
    this.leg.status = "ok";
    if (this.#isCounting) this.leg.span.estimated = false;
    const { usage: __, ...answer } = completion ?? {};
    return {
      ...rest,
      ...(completion ? { completion: { choices: completion.choices, ...answer } } : {}),
      ...(this.#isCounting ? { usage } : {}),
    };
  }

  /** It ended without its finish. */
  cut(error: unknown, { signal }: Call): void {
    this.leg.status = error === undefined || signal.aborted ? "cancelled" : "failed";
    if (this.leg.span.usage) return;
    const refused = error instanceof GatewayError && !signal.aborted && (error.details.upstreamStatus ?? 0) >= 400;
    this.leg.usage = refused ? nothing : { promptTokens: readTokens(this.#request), completionTokens: 0 };
  }
}

/** All upstreams of a test. */
export class Upstreams {
  /** Every call that reached an upstream since the last `serve`. */
  readonly legs: SeenLeg[] = [];
  #fake: (name: string) => FakeModel = () => {
    throw new Error("nobody serves");
  };

  /** Answers from now on with these models, by the name that the upstream gives them. */
  serve(fake: (name: string) => FakeModel): void {
    this.#fake = fake;
    this.legs.length = 0;
  }

  /** A provider `up` over them whose models also embed and score. */
  readonly provider: Provider = defineProvider({
    kind: "scripted",
    summary: "Scripted models.",
    options: z.strictObject({}),
    build: (_, site) => ({
      capabilities: () => ({}),
      chat: (model) => this.#leaf(`${site.name}/${model}`, model),
      embedder: (model) => ({
        name: `${site.name}/${model}`,
        most: 64,
        embed: async (texts, call) => {
          await this.#askedOnce(`${site.name}/${model}`, model, { query: "", texts }, call);
          return texts.map(fakeVector);
        },
      }),
      reranker: (model) => ({
        name: `${site.name}/${model}`,
        most: 64,
        rerank: async (query, documents, call) => {
          await this.#askedOnce(`${site.name}/${model}`, model, { query, texts: documents }, call);
          return fakeRanks(query, documents);
        },
      }),
    }),
  });

  #begin(upstream: string, request: ChatRequest, { span }: Call): Under {
    const leg: SeenLeg = { upstream, span, status: "open", usage: nothing };
    const isCounting = this.legs.length % 3 !== 2;
    this.legs.push(leg);
    return new Under(leg, request, isCounting);
  }

  #leaf(name: string, model: string): Model {
    const begin = (request: ChatRequest, call: Call) => this.#begin(name, request, call);
    const played = (request: ChatRequest, call: Call) => this.#fake(model).stream(request, call);
    return {
      name,
      async *stream(request, call) {
        const under = begin(request, call);
        let error: unknown = undefined;
        try {
          for await (const event of played(request, call)) yield under.seen(event);
          // A script that ends without a finish is a cut connection.
          error = new Error("cut");
        } catch (thrown) {
          error = thrown;
          throw thrown;
        } finally {
          // Told one turn of the queue later, when the catalog is: an abort that comes between the two wins there and here.
          if (under.leg.status !== "ok") queueMicrotask(() => under.cut(error, call));
        }
      },
    };
  }

  /** A call for vectors or scores is one call of the scripted model. Its request is as long as the catalog takes it for. */
  async #askedOnce(name: string, model: string, given: { readonly query: string; readonly texts: readonly string[] }, call: Call) {
    const request = ownRequest({ model: name, messages: [], max_tokens: 0, ...given });
    await collect(this.#leaf(name, model).stream(request, { ...call, delivery: "unary" }));
  }
}
