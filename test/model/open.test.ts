import { describe, expect, test } from "vitest";
import { complete } from "../../src/model/complete.ts";
import { GatewayError } from "../../src/model/errors.ts";
import type { ModelEvent } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import { firstContent, open, type Opening } from "../../src/model/open.ts";
import { newCall, newRequest } from "../support/call.ts";
import { FakeModel, fails, says, textIn } from "../support/fake-model.ts";
import { read } from "../support/read.ts";

const broken = new GatewayError("upstream_error", "It broke.", { upstream: "a" });

function opened(opening: Opening): Opening & { readonly ok: true } {
  if (!opening.ok) throw opening.error;
  return opening;
}

describe("open", () => {
  test("tells a failure before the commit as a value", async () => {
    const model = new FakeModel("a", { moves: ["role", { fail: broken }] });
    expect(await open(model, newRequest(), newCall())).toEqual({ ok: false, error: broken });
    expect(model.open).toBe(0);
  });

  test("succeeds at the first content of a stream, not at its start or a bare role", async () => {
    const model = new FakeModel("a", { moves: ["role", { text: "Hel" }, { text: "lo" }] });
    const opening = opened(await open(model, newRequest(), newCall()));
    expect(model.streamed).toBe(2);
    await opening.discard();
  });

  test("gives out what it held, then goes on with the stream", async () => {
    const model = new FakeModel("a", { moves: ["role", { text: "Hel" }, { text: "lo" }] });
    const { events } = opened(await open(model, newRequest(), newCall()));
    const reading = await read(events);
    expect(reading.events.map(({ type }) => type)).toEqual(["start", "batch", "batch", "batch", "batch", "finish"]);
    expect(textIn(reading.events)).toBe("Hello");
  });

  test("reads nothing further until somebody asks", async () => {
    const model = new FakeModel("a", says("one", "two", "three"));
    const opening = opened(await open(model, newRequest(), newCall()));
    const iterator = opening.events[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    expect(model.streamed).toBe(1);
    await iterator.next();
    expect(model.streamed).toBe(2);
    await opening.discard();
  });

  test("succeeds only at the finish of a whole answer", async () => {
    const cut = new FakeModel("a", { moves: [{ text: "Hel" }, { fail: broken }] });
    const call = newCall({ delivery: "unary" });
    expect(await open(cut, newRequest(), call)).toEqual({ ok: false, error: broken });
    expect(await open(new FakeModel("a"), newRequest(), call)).toMatchObject({ ok: true });
  });

  test("waits for the finish of a whole answer, also when its model gives out batches", async () => {
    const call = newCall({ delivery: "unary" });
    const streaming: Model = {
      name: "a",
      stream: (request) => new FakeModel("a", { moves: [{ text: "Hel" }, { fail: broken }] }).stream(request, newCall()),
    };
    expect(await open(streaming, newRequest(), call)).toEqual({ ok: false, error: broken });
  });

  test("closes the stream when it is discarded", async () => {
    const model = new FakeModel("a", says("Hel", "lo"));
    const opening = opened(await open(model, newRequest(), newCall()));
    expect(model.open).toBe(1);
    await opening.discard();
    expect([model.open, model.cancelled]).toEqual([0, 1]);
  });

  test("closes the stream when its consumer stops early", async () => {
    const model = new FakeModel("a", says("Hel", "lo"));
    const { events } = opened(await open(model, newRequest(), newCall()));
    for await (const event of events) if (event.type === "batch") break;
    expect(model.open).toBe(0);
  });

  test("calls a stream that ends without a finish an error", async () => {
    const opening = await open(new FakeModel("a", { moves: ["role", "cut"] }), newRequest(), newCall());
    expect(opening).toMatchObject({ ok: false, error: { code: "upstream_protocol" } });
  });

  test("makes an error of its own of what is not one", async () => {
    const fault = new TypeError("no such thing");
    const model: Model = {
      name: "a",
      stream: () => {
        throw fault;
      },
    };
    const opening = await open(model, newRequest(), newCall());
    expect(opening).toMatchObject({
      ok: false,
      error: { code: "internal", details: { cause: fault } },
    });
  });

  test("tells the reason of an abort, whatever was thrown", async () => {
    const gone = new GatewayError("client_closed", "The client has left.");
    const opening = await open(new FakeModel("a", fails(broken)), newRequest(), newCall({ signal: AbortSignal.abort(gone) }));
    expect(opening).toEqual({ ok: false, error: gone });
  });

  test("commits later than the first content where a gate says so", async () => {
    const model = new FakeModel("a", {
      moves: [{ text: "one" }, { text: "two" }, { fail: broken }],
    });
    expect(await open(model, newRequest(), newCall(), () => false)).toEqual({
      ok: false,
      error: broken,
    });
    let texts = 0;
    const second = (event: ModelEvent) => firstContent(event) && (texts += 1) === 2;
    expect(await open(model, newRequest(), newCall(), second)).toMatchObject({ ok: true });
  });

  test("closes the stream when its gate fails", async () => {
    const fault = new TypeError("no such thing");
    const model = new FakeModel("a", says("Hel", "lo"));
    const opening = await open(model, newRequest(), newCall(), () => {
      throw fault;
    });
    expect(opening).toMatchObject({ ok: false, error: { code: "internal", details: { cause: fault } } });
    expect([model.open, model.cancelled]).toEqual([0, 1]);
  });

  test("commits at the finish whatever a gate says", async () => {
    expect(await open(new FakeModel("a"), newRequest(), newCall(), () => false)).toMatchObject({
      ok: true,
    });
  });
});

describe("complete", () => {
  test("tells the whole answer, with what its finish said", async () => {
    const model = new FakeModel("a", { ...says("Hel", "lo"), agreement: 0.75 });
    const result = await complete(model, newRequest(), newCall({ delivery: "unary" }));
    expect(result).toMatchObject({
      ok: true,
      completion: { choices: [{ index: 0, message: { content: "Hello" }, finishReason: "stop" }] },
      finish: { agreement: 0.75 },
    });
  });

  test("folds a stream", async () => {
    const result = await complete(new FakeModel("a", says("Hel", "lo")), newRequest(), newCall());
    expect(result).toMatchObject({
      ok: true,
      completion: { choices: [{ message: { content: "Hello" } }] },
    });
  });

  test("tells an error as a value, even after the first content", async () => {
    const model = new FakeModel("a", { moves: [{ text: "Hel" }, { fail: broken }] });
    expect(await complete(model, newRequest(), newCall())).toEqual({ ok: false, error: broken });
  });
});
