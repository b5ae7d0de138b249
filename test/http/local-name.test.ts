import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { isLocalName } from "../../src/http/local-name.ts";
import { serve } from "../../src/serve.ts";
import { clientKey } from "../support/gateway.ts";

test.each([
  "localhost",
  "LOCALHOST:8080",
  "127.0.0.1:8080",
  "[::1]:8080",
  "192.168.1.7",
  "gateway:80",
  "host.docker.internal",
  "box.local.",
  "a.localhost",
])("%s is a name of this network", (host) => {
  expect(isLocalName(host)).toBe(true);
});

test.each(["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[::1].evil.example"])(
  "%s is none",
  (host) => {
    expect(isLocalName(host)).toBe(false);
  },
);

/** Starts a gateway and asks it for its models under another name. */
async function asked(config: object): Promise<{ readonly status: number | undefined; readonly body: unknown }> {
  const folder = mkdtempSync(join(tmpdir(), "chorale-host-"));
  const file = join(folder, "chorale.yaml");
  writeFileSync(file, JSON.stringify({ store: { kind: "memory" }, providers: { demo: { kind: "demo" } }, ...config }));
  const gateway = await serve({ env: {}, config: file, probe: async () => undefined, logTo: { write: () => {} } });
  onTestFinished(async () => {
    await gateway.close();
    rmSync(folder, { recursive: true });
  });
  return new Promise((resolve, reject) => {
    const url = new URL(`${gateway.url}/v1/models`);
    const headers = { host: "evil.example", authorization: `Bearer ${clientKey}` };
    request({ host: "127.0.0.1", port: url.port, path: url.pathname, headers }, (answer) => {
      json(answer).then((body) => resolve({ status: answer.statusCode, body }), reject);
    })
      .once("error", reject)
      .end();
  });
}

test("an open gateway of this machine answers no page that comes by a name of its own", async () => {
  const refused = await asked({ server: { port: 0 } });
  expect(refused).toMatchObject({
    status: 403,
    body: { error: { code: "host_not_allowed", message: expect.stringContaining("'evil.example'") } },
  });
});

test.each([
  ["with keys", { server: { host: "127.0.0.1", port: 0 }, keys: [{ name: "a", key: clientKey }] }],
  ["that is open to all by its config", { server: { host: "0.0.0.0", port: 0 } }],
])("a gateway %s has any name", async (_, config) => {
  expect((await asked(config)).status).toBe(200);
});
