import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { chunkStream, cut, sse } from "../support/upstream.ts";

test("the log and the record of a stream that failed have the status of its error", async () => {
  const { gateway } = await startPair(
    { a: cut(chunkStream(["4", "2"]), 2), whole: sse(chunkStream(["4", "2"])) },
    { onFinished: onTestFinished },
  );
  const statusOf = async (model: string) => {
    const response = await gateway.chat({ model, stream: true });
    await response.text();
    const id = response.headers.get("x-request-id");
    const kept = async () => gateway.get(`/v1/chorale/requests/${id}`);
    await expect.poll(async () => (await kept()).status).toBe(200);
    const { status, error } = (await (await kept()).json()) as { readonly status: number; readonly error?: { readonly code: string } };
    return [response.status, gateway.requestLogs.find(({ requestId }) => requestId === id)?.["status"], status, error?.code];
  };
  expect(await statusOf("up/a")).toEqual([200, 502, 502, "upstream_unreachable"]);
  expect(await statusOf("up/whole")).toEqual([200, 200, 200, undefined]);
});
