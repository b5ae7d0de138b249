import { describe, expect, test } from "vitest";
import type { Delivery } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import type { ModelEvent } from "../../src/model/events.ts";
import { answerTimes, wholeTimes } from "../../src/panel/runs.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { fails, FakeModel, says, type Script } from "../support/fake-model.ts";
import { describeModelContract, wholly } from "../support/model-contract.ts";

describeModelContract("two runs of a model that gives whole answers", (leaf) => {
  const one = wholly(leaf("a"));
  return {
    name: one.name,
    stream: (request, call) => answerTimes(one, 2, request, call),
    whole: (request, call) => wholeTimes(one, 2, request, call),
  };
});

const down = new GatewayError("upstream_error", "down");

async function all(events: AsyncIterable<ModelEvent>): Promise<readonly ModelEvent[]> {
  const seen: ModelEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

function start(scripts: readonly Script[], delivery: Delivery, seed?: number) {
  const model = new FakeModel("m", ...scripts);
  const clock = manualClock();
  const call = newCall({ clock, delivery });
  const seen: ModelEvent[] = [];
  const read = async () => {
    for await (const event of answerTimes(
      model,
      scripts.length,
      newRequest({ n: scripts.length, ...(seed === undefined ? {} : { seed }) }),
      call,
    ))
      seen.push(event);
  };
  return { model, call, seen, reading: clock.drive(read()), spans: () => call.trace.root.children.map(({ status }) => status) };
}

const after = (waitMs: number, then: Script["moves"][number]): Script => ({ moves: [{ waitMs }, then] });

describe("n answers", () => {
  test("come as one completion to who reads whole answers, in choice order", async () => {
    const { seen, reading, spans } = start([after(30, { text: "x" }), after(10, { text: "y" }), after(20, { text: "z" })], "unary");
    await reading;
    expect(seen).toHaveLength(1);
    const [finish] = seen;
    const choices = finish?.type === "finish" ? finish.completion?.choices : undefined;
    expect(choices?.map(({ index, message }) => [index, message.content])).toEqual([
      [0, "x"],
      [1, "y"],
      [2, "z"],
    ]);
    expect(spans()).toEqual(["ok", "ok", "ok"]);
  });

  test("keep choice order in a stream when a later one is done first", async () => {
    const { seen, reading } = start([after(30, { text: "x" }), after(10, { text: "y" })], "stream");
    await reading;
    expect(seen.flatMap((event) => (event.type === "batch" ? event.deltas.map(({ choice }) => choice) : []))).toEqual([0, 0, 1, 1]);
    expect(seen.at(-1)).toEqual({ type: "finish" });
  });

  test("have independent seeds; the first is the one that a single answer would have", async () => {
    const { model, reading } = start([says("x"), says("y"), says("z")], "unary", 11);
    await reading;
    const seeds = model.requests.map(({ body }) => body.seed);
    expect(seeds[0]).toBe(11);
    expect(new Set(seeds).size).toBe(3);
    expect(model.requests.every(({ body }) => !("n" in body))).toBe(true);
  });

  test("tell the weakest agreement", async () => {
    const { seen, reading } = start(
      [
        { ...says("x"), agreement: 0.9 },
        { ...says("y"), agreement: 0.4 },
      ],
      "stream",
    );
    await reading;
    expect(seen.at(-1)).toEqual({ type: "finish", agreement: 0.4 });
  });

  test.each<Delivery>(["unary", "stream"])("fail together before anything is shown (%s), and nothing stays open", async (delivery) => {
    const { model, seen, reading, spans } = start(
      [{ moves: ["role", "stall"] }, after(10, { fail: down }), { moves: ["stall"] }],
      delivery,
    );
    await expect(reading).rejects.toBe(down);
    expect(seen).toEqual([]);
    expect(model).toMatchObject({ open: 0, cancelled: 2 });
    expect(spans().sort()).toEqual(["failed", "lost", "lost"]);
  });

  test("fail with the first one's error, too", async () => {
    const { model, reading } = start([fails(down), { moves: ["stall"] }], "stream");
    await expect(reading).rejects.toBe(down);
    expect(model.open).toBe(0);
  });

  test("end with the error of a later one once the first is shown whole", async () => {
    const { model, seen, reading } = start(
      [{ moves: [{ text: "x" }, { waitMs: 50 }, { text: "y" }] }, after(10, { fail: down }), { moves: ["stall"] }],
      "stream",
    );
    await expect(reading).rejects.toBe(down);
    expect(seen.flatMap((event) => (event.type === "batch" ? event.deltas.map(({ type }) => type) : []))).toEqual(["text", "text", "end"]);
    expect(seen.some(({ type }) => type === "finish")).toBe(false);
    expect(model.open).toBe(0);
  });

  test("are all released when the consumer stops early", async () => {
    const model = new FakeModel("m", { moves: [{ text: "x" }, "stall"] }, { moves: ["stall"] });
    for await (const event of answerTimes(model, 2, newRequest({ n: 2 }), newCall())) if (event.type === "batch") break;
    expect(model).toMatchObject({ open: 0, cancelled: 2 });
  });

  test("are all aborted when the client leaves", async () => {
    const controller = new AbortController();
    const model = new FakeModel("m", { moves: ["stall"] });
    const reading = all(answerTimes(model, 3, newRequest({ n: 3 }), newCall({ signal: controller.signal })));
    controller.abort(new GatewayError("client_closed", "gone"));
    await expect(reading).rejects.toMatchObject({ code: "client_closed" });
    expect(model).toMatchObject({ open: 0, cancelled: 3 });
  });
});
