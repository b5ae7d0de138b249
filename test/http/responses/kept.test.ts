import { describe, expect, test } from "vitest";
import { KeptResponses } from "../../../src/http/openai/responses/kept.ts";
import { memoryStore } from "../../../src/store/memory.ts";
import { clientKey } from "../../support/gateway.ts";
import { startResponses } from "./answering.ts";
import { calls, says } from "../../support/answers.ts";

type Fields = Record<string, unknown>;

const otherKey = "sk-chorale-other-0123456789";
const keys = [
  { name: "team-a", key: clientKey },
  { name: "team-b", key: otherKey },
];
const other = { authorization: `Bearer ${otherKey}` };
const day = 24 * 3_600_000;

const start = () => startResponses({ a: says("It is 4.") }, { config: { keys } });

const idOf = async (response: Response) => ((await response.json()) as { id: string }).id;

test("a response goes on from an earlier one, without its instructions", async () => {
  const { ask, upstream } = await start();
  const first = await idOf(await ask({ instructions: "Be brief." }));
  const second = await idOf(await ask({ previous_response_id: first, input: "Sure?" }));
  const third = await ask({ previous_response_id: second, input: "Really?", instructions: "Be kind." });
  expect(await third.json()).toMatchObject({ previous_response_id: second, instructions: "Be kind." });
  expect(upstream.requests[2]?.json["messages"]).toEqual([
    { role: "system", content: "Be kind." },
    { role: "user", content: "What is 2+2?" },
    { role: "assistant", content: "It is 4." },
    { role: "user", content: "Sure?" },
    { role: "assistant", content: "It is 4." },
    { role: "user", content: "Really?" },
  ]);
});

test("a streamed response may be gone on from as soon as it is told", async () => {
  const { gateway, upstream } = await startResponses({ a: [calls({ id: "call_1", name: "add", arguments: "{}" }), says("4")] });
  const client = gateway.client();
  const tools = [{ type: "function" as const, name: "add", parameters: {}, strict: false }];
  const first = await client.responses.stream({ model: "up/a", input: "2+2?", tools }).finalResponse();
  const output = { type: "function_call_output" as const, call_id: "call_1", output: "4" };
  const second = await client.responses.create({ model: "up/a", previous_response_id: first.id, input: [output], tools });
  expect(second.output_text).toBe("4");
  expect(upstream.requests[1]?.json["messages"]).toMatchObject([{ role: "user" }, { tool_calls: [{ id: "call_1" }] }, { content: "4" }]);
});

test("what the leaf gave besides goes on too, though the client did not ask for it", async () => {
  const { ask, upstream } = await startResponses({ a: says("It is 4.", { reasoning: ["hm"] }) });
  const first = await idOf(await ask({ stream: false }));
  await ask({ previous_response_id: first, input: "Sure?" });
  expect(upstream.requests[1]?.json["messages"]).toEqual([
    { role: "user", content: "What is 2+2?" },
    { role: "assistant", content: "It is 4.", reasoning_content: "hm" },
    { role: "user", content: "Sure?" },
  ]);
});

test("a response is got, its items are listed, and it is deleted", async () => {
  const { gateway } = await start();
  const client = gateway.client();
  const made = await client.responses.create({ model: "up/a", input: "2+2?", metadata: { a: "b" } });
  const got = await client.responses.retrieve(made.id);
  expect(got).toMatchObject({ id: made.id, output: made.output, metadata: { a: "b" }, status: "completed" });
  const items = await client.responses.inputItems.list(made.id);
  expect(items.data).toMatchObject([{ type: "message", role: "user", content: [{ type: "input_text", text: "2+2?" }] }]);
  await client.responses.delete(made.id);
  await expect(client.responses.retrieve(made.id)).rejects.toThrow(/not found/);
  await expect(client.responses.delete(made.id)).rejects.toThrow(/not found/);
});

test("a conversation does not go on from a deleted response", async () => {
  const { ask, send } = await start();
  const first = await idOf(await ask());
  const second = await idOf(await ask({ previous_response_id: first }));
  await send("DELETE", `/responses/${first}`);
  const refused = await ask({ previous_response_id: second });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ error: { param: "previous_response_id", code: "previous_response_not_found" } });
});

test("nobody finds the responses of another key", async () => {
  const { ask, send } = await start();
  const made = (await (await ask()).json()) as { id: string; output: { id: string }[] };
  expect((await send("GET", `/responses/${made.id}`, undefined, other)).status).toBe(404);
  expect((await send("GET", `/responses/${made.id}/input_items`, undefined, other)).status).toBe(404);
  expect((await send("DELETE", `/responses/${made.id}`, undefined, other)).status).toBe(404);
  expect((await ask({ previous_response_id: made.id }, other)).status).toBe(400);
  expect((await ask({ input: [{ type: "item_reference", id: made.output[0]?.id }] }, other)).status).toBe(404);
  expect((await send("GET", `/responses/${made.id}`)).status).toBe(200);
});

test("what must not be kept is not", async () => {
  const { ask, send } = await start();
  const made = (await (await ask({ store: false })).json()) as Fields;
  expect(made["store"]).toBe(false);
  expect((await send("GET", `/responses/${String(made["id"])}`)).status).toBe(404);
});

test("what is too long to be kept is answered all the same, and says so", async () => {
  const { ask, send } = await start();
  const answer = await ask({ input: "x".repeat(2 ** 21) });
  expect(answer.headers.get("x-chorale-warnings")).toContain("too long to be kept");
  const made = (await answer.json()) as Fields;
  expect(made["store"]).toBe(false);
  expect((await send("GET", `/responses/${String(made["id"])}`)).status).toBe(404);
});

describe("a reference", () => {
  test("to an item stands for the item", async () => {
    const { ask, upstream } = await start();
    const made = (await (await ask()).json()) as { output: { id: string }[] };
    const id = made.output[0]?.id;
    const input = [{ role: "user", content: "2+2?" }, { type: "item_reference", id }, { id }, { role: "user", content: "Sure?" }];
    expect((await ask({ input, store: false })).status).toBe(200);
    expect(upstream.requests[1]?.json["messages"]).toMatchObject([{}, { content: "It is 4." }, { content: "It is 4." }, {}]);
  });

  test("to an item that is not there is refused, to reasoning left out", async () => {
    const { ask } = await start();
    const ask1 = (id: string) =>
      ask({
        input: [
          { type: "item_reference", id },
          { role: "user", content: "x" },
        ],
      });
    const refused = await ask1("msg_1");
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ error: { message: "Item with id 'msg_1' not found.", param: "input" } });
    expect((await ask1("rs_1")).status).toBe(200);
  });
});

test("a response is kept for a day", async () => {
  const store = memoryStore();
  await new KeptResponses(store, "k", 1000).put("resp_1", { response: { id: "resp_1", output: [] }, input: [] });
  expect((await new KeptResponses(store, "k", 1000 + day - 1).get("resp_1")).response).toEqual({ id: "resp_1", output: [] });
  await expect(new KeptResponses(store, "k", 1000 + day).get("resp_1")).rejects.toThrow(/not found/);
});

test("numbers are kept digit by digit", async () => {
  const { send, upstream } = await start();
  const digits = String.raw`"parameters":{"maximum":18446744073709551615,"x":1.0e400}`;
  const tools = `[{"type":"function","name":"f",${digits}}]`;
  const answer = await send("POST", "/responses", `{"model":"up/a","input":"x","tools":${tools},"temperature":1.0}`);
  const text = await answer.text();
  expect(upstream.requests[0]?.body.toString()).toContain(digits);
  expect(text).toContain(digits);
  const kept = await send("GET", `/responses/${(JSON.parse(text) as { id: string }).id}`);
  expect(await kept.text()).toContain(digits);
});
