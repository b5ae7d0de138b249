import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { batch, Flag, type BatchEvent, type Delta, type ModelEvent } from "../../src/model/events.ts";
import type { Message } from "../../src/model/request.ts";
import { ToolOwners } from "../../src/panel/tools/owners.ts";
import { Tag, tagged } from "../../src/panel/tools/tag.ts";
import { newRequest } from "../support/call.ts";

const tag = new Tag("smart", "up/a");

async function* eventsOf(...events: readonly ModelEvent[]): AsyncGenerator<ModelEvent> {
  yield* events;
}

async function through(...events: readonly ModelEvent[]): Promise<readonly ModelEvent[]> {
  const out: ModelEvent[] = [];
  for await (const event of tagged(eventsOf(...events), tag)) out.push(event);
  return out;
}

describe("a tag", () => {
  test("goes on and off again, within what servers take for an id", () => {
    const property = fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.uuid()), (id) => {
      const put = tag.put(id);
      if (put === id) return;
      expect(put).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      expect(tag.take(put)).toBe(id.toWellFormed());
    });
    fc.assert(property, { numRuns: 1000 });
  });

  test("keeps what is an id readable, and fits round the ids of all that are known", () => {
    const known = [
      "call_8Qm2wqPbCPPCrQ8wXtgGe5fv",
      "toolu_01A09q90qw90lq917835lq9",
      "chatcmpl-tool-5f2c0b8d7b554c9c9c0f",
      "functions.get_weather:0",
      "1",
    ];
    for (const id of known) expect(tag.take(tag.put(id))).toBe(id);
    expect(tag.put("call_1")).toMatch(/^call_1_[\w-]{5}$/);
  });

  test("is left out where it has no room", () => {
    const long = "x".repeat(59);
    expect([tag.put(long), tag.take(long)]).toEqual([long, undefined]);
    expect(tag.put("")).toBe("");
  });

  test("is the same in every process and version: a change would orphan the loops under way", () => {
    expect(tag.put("call_1")).toMatchInlineSnapshot(`"call_1_2P7_b"`);
    expect(tag.put("functions.f:0")).toMatchInlineSnapshot(`"ZnVuY3Rpb25zLmY6MA_NG6nz"`);
  });

  test("is nobody else's", () => {
    const others = [new Tag("smart", "up/b"), new Tag("smart/members[0]", "up/a")];
    for (const other of others) expect(other.take(tag.put("call_1"))).toBeUndefined();
    for (const id of ["call_1", "", "_", "_abcde"]) expect(tag.take(id)).toBeUndefined();
  });

  test("keeps ids apart", () => {
    const ids = Array.from({ length: 100 }, (_, nth) => (nth % 2 === 0 ? `call_${nth}` : `f.${nth}`));
    expect(new Set(ids.map((id) => tag.put(id))).size).toBe(100);
  });

  test("stands round another: nested owners take off their own", () => {
    const inner = new Tag("smart/members[0]", "up/x");
    const id = tag.put(inner.put("call_1"));
    expect(inner.take(tag.take(id) ?? "")).toBe("call_1");
  });
});

describe("a tagged answer", () => {
  const opening = '{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}';
  const frame = (calls: string) =>
    `data: {"id":"chatcmpl-call_1","x":[12345678901234567890],"choices":[{"index":0,"delta":{"tool_calls":[${calls}]}}]}\n\n`;
  const delta = (id: string | undefined, text = ""): Delta => ({
    type: "tool-call",
    choice: 0,
    index: 0,
    ...(id === undefined ? {} : { id, name: "f" }),
    text,
  });
  const own = (bytes: string, ...deltas: readonly Delta[]): BatchEvent => ({ type: "batch", bytes, flags: Flag.tool, deltas });

  test("has its id replaced in the bytes, and nothing else", async () => {
    const [event] = await through(own(frame(opening), delta("call_1")));
    expect(event).toMatchObject({
      bytes: frame(opening.replace("call_1", tag.put("call_1"))),
      deltas: [{ id: tag.put("call_1"), name: "f" }],
    });
  });

  test("passes fragments of arguments unread, even such that speak of types and ids", async () => {
    const unread: BatchEvent = {
      type: "batch",
      bytes: frame(String.raw`{"index":0,"function":{"arguments":"{\"type\":\"id\",\"id\":\"call_1\"}"}}`),
      flags: Flag.tool,
      get deltas(): never {
        throw new Error("was read");
      },
    };
    expect((await through(unread))[0]).toBe(unread);
    const text: BatchEvent = { ...batch([{ type: "text", choice: 0, text: '"type"' }]), bytes: 'data: "type"\n\n' };
    expect((await through(text))[0]).toBe(text);
  });

  test("takes an id of other letters, written as it came", async () => {
    const strange = frame(opening.replace("call_1", "functions.f:0"));
    const [event] = await through(own(strange, delta("functions.f:0")));
    expect(event).toMatchObject({ bytes: strange.replace("functions.f:0", tag.put("functions.f:0")) });
  });

  test("stays as it is where the id is not written as one writes it", async () => {
    const escaped = own(frame(opening.replace("call_1", String.raw`call\u005f1`)), delta("call_1"));
    expect((await through(escaped))[0]).toBe(escaped);
  });

  test("has all calls of a whole answer tagged, in its bytes too", async () => {
    const bytes = Buffer.from(
      `{"id":"x","choices":[{"message":{"tool_calls":[${opening},${opening.replace("call_1", "call_2")}],"n":12345678901234567890}}]}`,
    );
    const calls = ["call_1", "call_2"].map((id) => ({ id, type: "function", function: { name: "f", arguments: "" } }) as const);
    const completion = {
      id: "x",
      bytes,
      choices: [{ index: 0, message: { role: "assistant", content: null, tool_calls: calls }, finishReason: "tool_calls" }],
    } as const;
    const [event] = await through({ type: "finish", completion, agreement: 1 });
    const expected = bytes.toString().replace("call_1", tag.put("call_1")).replace("call_2", tag.put("call_2"));
    expect(event?.type === "finish" && event.completion?.bytes?.toString()).toBe(expected);
    expect(event).toMatchObject({
      agreement: 1,
      completion: { id: "x", choices: [{ message: { tool_calls: [{ id: tag.put("call_1") }, { id: tag.put("call_2") }] } }] },
    });
  });

  test("has the calls of all choices tagged, though servers number them anew in each", async () => {
    const one = `{"message":{"tool_calls":[${opening}]}}`;
    const call = { id: "call_1", type: "function", function: { name: "f", arguments: "" } } as const;
    const choice = (index: number) =>
      ({ index, message: { role: "assistant", content: null, tool_calls: [call] }, finishReason: "tool_calls" }) as const;
    const told = async (head: string) => {
      const json = `{${head}"choices":[${one},${one}]}`;
      const [event] = await through({ type: "finish", completion: { bytes: Buffer.from(json), choices: [choice(0), choice(1)] } });
      return [json, event?.type === "finish" ? event.completion?.bytes?.toString() : undefined] as const;
    };
    const [json, bytes] = await told("");
    expect(bytes).toBe(json.replaceAll("call_1", tag.put("call_1")));
    const [other, untouched] = await told('"id":"call_1",');
    expect(untouched, "one too many to know which").toBe(other);
  });

  test("of text alone is the very same", async () => {
    const completion = { bytes: Buffer.from("{}"), choices: [] };
    const [event] = await through({ type: "finish", completion });
    expect(event?.type === "finish" && event.completion).toBe(completion);
  });

  test("ends what is below when it is left before its first read", async () => {
    let ended = false;
    const below: AsyncIterable<ModelEvent> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => ((ended = true), { done: true, value: undefined }),
      }),
    };
    await tagged(below, tag)[Symbol.asyncIterator]().return?.();
    expect(ended).toBe(true);
  });
});

describe("owners", () => {
  const owners = new ToolOwners("smart", ["a", "b", "a"]);
  const tools = [{ type: "function", function: { name: "f" } }];
  const tagOf = async (member: number, id: string) => {
    const told = owners
      .read(newRequest({ tools }))
      .tell(member, eventsOf(batch([{ type: "tool-call", choice: 0, index: 0, id, name: "f", text: "" }])));
    for await (const event of told) if (event.type === "batch" && event.deltas[0]?.type === "tool-call") return event.deltas[0].id ?? "";
    return "";
  };
  const calls = (...ids: readonly string[]): Message => ({
    role: "assistant",
    tool_calls: ids.map((id) => ({ id, type: "function", function: { name: "f", arguments: "{}" } })),
  });
  const result = (id: string): Message => ({ role: "tool", tool_call_id: id, content: "4" });
  const user: Message = { role: "user", content: "Hi" };

  test("are known by the calls that a turn brings results of, whichever process made them", async () => {
    for (const member of [0, 1, 2]) {
      const id = await tagOf(member, "call_1");
      const turn = new ToolOwners("smart", ["a", "b", "a"]).read(newRequest({ tools, messages: [user, calls(id), result(id)] }));
      expect(turn.owner).toBe(member);
      expect(turn.request.body.messages).toEqual([user, calls("call_1"), result("call_1")]);
    }
  });

  test("get the ids of all as they were made, and the rest of a message untouched", async () => {
    const [one, two] = [await tagOf(0, "call_1"), await tagOf(1, "call_1")];
    const old: Message = {
      role: "assistant",
      tool_calls: [{ id: one, extra_content: { signature: "x" }, type: "custom", custom: { name: "s", input: "" } }],
    };
    const turn = owners.read(newRequest({ messages: [user, old, result(one), calls(two, "call_9"), result(two), result("call_9")] }));
    expect(turn.owner).toBe(1);
    expect(turn.request.body.messages).toEqual([
      user,
      { role: "assistant", tool_calls: [{ ...(old["tool_calls"] as readonly object[])[0], id: "call_1" }] },
      result("call_1"),
      calls("call_1", "call_9"),
      result("call_1"),
      result("call_9"),
    ]);
  });

  test("are nobody once the loop has ended, or when its ids tell nobody", async () => {
    const id = await tagOf(1, "call_1");
    const ended = owners.read(newRequest({ messages: [user, calls(id), result(id), { role: "assistant", content: "4" }, user] }));
    expect(ended.owner).toBeUndefined();
    expect(ended.request.body.messages[1]).toEqual(calls("call_1"));
    const foreign = newRequest({ messages: [user, calls("call_1"), result("call_1")] });
    expect(owners.read(foreign)).toMatchObject({ owner: undefined });
    expect(owners.read(foreign).request, "untouched, bytes and all").toBe(foreign);
  });

  test("leave the answer of a turn without tools, and of a single member, as it is", () => {
    const events = eventsOf();
    expect(owners.read(newRequest()).tell(0, events)).toBe(events);
    expect(new ToolOwners("smart", ["a"]).read(newRequest({ tools })).tell(0, events)).toBe(events);
  });

  test("come first in the order of the members", () => {
    expect(owners.inOrder(["x", "y", "z"], 1)).toEqual([
      [1, "y"],
      [0, "x"],
      [2, "z"],
    ]);
    expect(owners.inOrder(["x", "y"], undefined)).toEqual([
      [0, "x"],
      [1, "y"],
    ]);
  });
});
