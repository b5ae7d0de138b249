import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { probeModels } from "../../src/upstream/probe.ts";

const list = JSON.stringify({ object: "list", data: [{ id: "a" }, { id: "b" }, {}] });

async function probed(answer: RequestListener): Promise<readonly string[] | undefined> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await probeModels(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/models`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("a local server tells its models", async () => {
  expect(await probed((_, reply) => reply.end(list))).toEqual(["a", "b"]);
});

test.each<readonly [string, RequestListener]>([
  ["a gateway of this kind, which would ask itself", (_, reply) => reply.setHeader("x-chorale-version", "0.1.0").end(list)],
  ["a refusal", (_, reply) => reply.writeHead(401).end(list)],
  ["a page", (_, reply) => reply.end("<html></html>")],
  ["another JSON", (_, reply) => reply.end('{"models":[]}')],
  ["a list of more than a megabyte", (_, reply) => reply.end(list.replace("}]", `},{"id":"${"x".repeat(1024 * 1024)}"}]`))],
  ["silence", () => {}],
])("%s is no server to use", async (_, answer) => {
  expect(await probed(answer)).toBe(undefined);
});

test("nobody there is no server to use", async () => {
  expect(await probeModels("http://127.0.0.1:1/v1/models")).toBe(undefined);
});
