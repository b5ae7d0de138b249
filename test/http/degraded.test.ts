import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { post } from "../support/post.ts";
import { chunkStream, completionJson, errorJson, json, sse, type Script } from "../support/upstream.ts";

const a: Script = (exchange) =>
  (exchange.request.json["stream"] === true ? sse(chunkStream(["4", "2"])) : json(200, completionJson("42")))(exchange);

const start = async () => {
  const members = ["up/a", "up/broken"];
  const { gateway } = await startPair(
    { a, broken: json(500, errorJson("No.")) },
    {
      onFinished: onTestFinished,
      config: {
        models: {
          two: { kind: "fuse", members, quorum: { min: 2 }, writer: "up/broken" },
          twice: {
            kind: "fuse",
            members: [
              { kind: "vote", members, stop: "none" },
              { kind: "vote", members, stop: "none" },
            ],
            writer: "up/a",
          },
        },
      },
    },
  );
  return gateway;
};

const reasons = "quorum: 1 of 2 usable answers; writer: upstream_error, the medoid candidate was taken";

test("every reason why an answer is of a lower kind is told, in the header and at the end of a stream", async () => {
  const gateway = await start();
  const whole = await gateway.chat({ model: "two" });
  expect([whole.status, whole.headers.get("x-chorale-degraded")]).toEqual([200, reasons]);
  const streamed = await (await gateway.chat({ model: "two", stream: true })).text();
  expect(streamed).toContain(` degraded=${reasons}\n`);
  const messages = { max_tokens: 9, messages: [{ role: "user", content: "What is 6 times 7?" }], stream: true };
  expect(await (await post(gateway, "/v1/messages", { model: "two", ...messages })).text()).toContain(` degraded=${reasons}\n`);
});

test("a reason that several nodes have is told once", async () => {
  const gateway = await start();
  const whole = await gateway.chat({ model: "twice" });
  expect([whole.status, whole.headers.get("x-chorale-degraded")]).toEqual([200, "quorum: 1 of 2 usable answers"]);
});
