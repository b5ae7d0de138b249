import { join } from "node:path";
import OpenAI from "openai";
import { describe, expect, test, vi } from "vitest";
import { configJsonSchema } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { serve as serveHere } from "../../src/serve.ts";
import { busyPort, flags, newFolder, run, serve, SLOW, startCommand, writeConfig } from "./kit.ts";

vi.setConfig({ testTimeout: SLOW });

test("the start command carries the flags that these tests run with", () => {
  expect(startCommand()).toBe(`node ${flags.join(" ")} src/main.ts`);
});

describe("without a config and without keys", () => {
  test("a demo answers, whole and streamed, to fetch and to the official client", async () => {
    const gateway = await serve(undefined);
    const list = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { readonly data: readonly { readonly id: string }[] };
    const names = list.data.map(({ id }) => id);
    // A model server on one of the usual ports of this machine would be found in its place.
    const [vote = "", plain = ""] = names.includes("demo") ? ["demo-vote", "demo"] : ["chorale-vote", names.at(-1)];
    const whole = await gateway.ask({ model: vote });
    expect([whole.status, whole.headers.get("x-chorale-strategy")]).toEqual([200, "vote"]);
    expect(await whole.json()).toMatchObject({ object: "chat.completion", model: vote, choices: [{ finish_reason: "stop" }] });
    const streamed = await (await gateway.ask({ model: vote, stream: true })).text();
    expect(streamed.trimEnd().endsWith("data: [DONE]")).toBe(true);
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "any", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "What is 6 times 7?" }];
    const answer = await client.chat.completions.create({ model: vote, messages, seed: 1 });
    expect(answer.choices[0]?.message.content).toContain("42");
    const read = async (model: string) => {
      let text = "";
      for await (const chunk of await client.chat.completions.create({ model, messages, seed: 1, stream: true })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      return text;
    };
    for (const text of await Promise.all([vote, plain].map(read))) expect(text).not.toBe("");
    expect(gateway.log.find(({ msg }) => msg === "chorale is listening")?.["config"]).toMatch(/^none: /);
  });
});

const two = 'providers: {p: {kind: openai, baseUrl: "http://gpu:8000/v1"}}\n';

describe("a bad config has one message:", () => {
  test.each([
    ["an unknown key", "server: {prot: 1}", 'line 1, server: unknown key "prot"; did you mean "port"?'],
    ["a misplaced key", "port: 1", 'unknown key "port"; it belongs in "server"'],
    ["a misplaced option", `${two}models: {a: {kind: fallback, members: [p/x], attempts: 2}}`, 'unknown key "attempts"'],
    ["a variable that is not set", 'providers: {p: {kind: openai, apiKey: "${NOPE_KEY}"}}', "the environment variable NOPE_KEY is not set"],
    ["broken YAML", "server:\n  port: [1\nlog: {}\n", /line \d+: not valid YAML/],
    ["a key that stands twice", "log: {}\nlog: {}\n", 'line 2: the key "log" stands twice'],
    ["an unknown strategy", `${two}models: {a: {kind: vot, members: [p/x]}}`, 'no node is of kind "vot"; did you mean "vote"?'],
    ["an unknown provider kind", "providers: {p: {kind: opnai}}", 'no provider is of kind "opnai"; did you mean "openai"?'],
    ["a dialect for a kind", "providers: {p: {kind: ollama}}", '"ollama" is a dialect: write {kind: openai, dialect: ollama}'],
    ["an unknown model", `${two}models: {exam: p/x, a: {kind: fallback, members: [exan, p/x]}}`, /models\.a\.members\[0\]: .*"exam"/],
    ["an unknown provider", `${two}models: {a: q/x}`, /models\.a: .*q/],
    ["a circle", `${two}models: {a: {kind: retry, model: b}, b: {kind: retry, model: a}}`, /circle|cycle|itself/],
    ["too many wanted", `${two}models: {a: {kind: vote, members: [p/x, p/y], quorum: {min: 3}}}`, "asks for 3 answers of 2 seats"],
    ["two keys of one name", "keys: [{name: a, key: 0123456789abcdef}, {name: a, key: 1123456789abcdef}]", "the same name as keys[0]"],
    ["an address that is not this machine's", "server: {host: 192.0.2.1, port: 0}\nstore: {kind: memory}", "192.0.2.1"],
    ["a store that can not be opened", "store: {kind: sqlite, path: /dev/null/x.db}", "store: The store /dev/null/x.db cannot be opened"],
    ["a list", "- a", "found a list of 1, expected a map"],
  ])("%s", async (_, text, message) => {
    const config = writeConfig(newFolder(), text.includes("store:") || text.startsWith("-") ? text : `${text}\nstore: {kind: memory}\n`);
    const error: unknown = await serveHere({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ConfigError);
    const told = (error as ConfigError).message;
    if (typeof message === "string") expect(told).toContain(message);
    else expect(told).toMatch(message);
    expect(told).not.toMatch(/^\s+at |node:internal|\.ts:\d/m);
    expect(told.trimEnd().split("\n").length, told).toBeLessThanOrEqual(3);
  });
});

test("a gateway that is open to other machines says so", async () => {
  const told: string[] = [];
  const start = async (server: object, more: object = {}) => {
    told.length = 0;
    const config = writeConfig(newFolder(), { store: { kind: "memory" }, server: { port: 0, ...server }, ...more });
    const gateway = await serveHere({ env: {}, config, probe: async () => undefined, logTo: { write: (line) => void told.push(line) } });
    await gateway.close();
    return told.some((line) => line.includes("other machines may call"));
  };
  expect(await start({ host: "0.0.0.0" })).toBe(true);
  expect(await start({ host: "127.0.0.1" })).toBe(false);
  expect(await start({ host: "0.0.0.0" }, { keys: [{ name: "a", key: "0123456789abcdef" }] })).toBe(false);
});

test("a start that fails gives back what it had opened", async () => {
  const folder = newFolder();
  const store = { kind: "sqlite", path: join(folder, "x.db") };
  const start = (port: number) => {
    const config = writeConfig(folder, { store, server: { host: "127.0.0.1", port } });
    return serveHere({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
  };
  await expect(start(await busyPort())).rejects.toThrow("is in use");
  await (await start(0)).close();
});

describe("a bad config ends the process, and all it says is that message:", () => {
  test("all that is wrong, at once", async () => {
    const folder = newFolder();
    writeConfig(folder, "server: {prot: 1}\nlog: {level: loud}\n");
    const { code, out, err } = await run([], { folder });
    expect([code, out, err]).toEqual([
      1,
      "",
      [
        "chorale.yaml: 2 problems",
        '  line 1, server: unknown key "prot"; did you mean "port"?',
        '  line 2, log.level: found "loud", expected one of fatal, error, warn, info, debug, trace, silent',
        "",
      ].join("\n"),
    ]);
  });

  test("a host that is none", async () => {
    const folder = newFolder();
    writeConfig(folder, { server: { host: "nope.invalid", port: 0 }, store: { kind: "memory" } });
    const { code, err } = await run([], { folder });
    expect([code, err]).toEqual([1, expect.stringMatching(/^the config: server\.host: can not listen on nope\.invalid/)]);
  });

  test("a port in use", async () => {
    const port = await busyPort();
    const folder = newFolder();
    writeConfig(folder, { server: { host: "127.0.0.1", port } });
    const { code, err } = await run([], { folder });
    expect([code, err]).toEqual([1, expect.stringContaining(`server.port: port ${port} is in use; set PORT or server.port`)]);
    expect(err).not.toMatch(/^\s+at /m);
  });

  test("a file that is not there", async () => {
    for (const [args, env] of [
      [["--config", "nowhere.yaml"], {}],
      [[], { CHORALE_CONFIG: "nowhere.yaml" }],
    ] as const) {
      const { code, err } = await run(args, { env });
      expect([code, err]).toEqual([1, "nowhere.yaml: there is no such file\n"]);
    }
  });

  test("HOST, PORT and LOG_LEVEL that mean nothing", async () => {
    const folder = newFolder();
    writeConfig(folder, "store: {kind: memory}");
    for (const env of [{ PORT: "many" }, { LOG_LEVEL: "loud" }] as const) {
      const { code, err } = await run([], { folder, env: { ...env } });
      expect(code, err).toBe(1);
      expect(err).toContain(`\${${Object.keys(env)[0]}}`);
    }
  });
});

describe("the command line", () => {
  const example = `${two}models:\n  exam: {kind: vote, members: [p/x, p/y, p/z]}\n  deep: {kind: fuse, members: [p/x, p/y], writer: p/z}\n`;

  test("guesses what an unknown command meant", async () => {
    expect(await run(["chekc"])).toMatchObject({ code: 1, out: "", err: 'there is no command "chekc"; did you mean "check"?\n' });
  });

  test("checks, lists and fails with the exit code", async () => {
    const folder = newFolder();
    writeConfig(folder, example);
    const checked = await run(["check"], { folder });
    expect([checked.code, checked.err]).toEqual([0, ""]);
    expect(checked.out).toContain("exam (vote)\n  calls 3, depth 1, nothing streams");
    const listed = await run(["models"], { folder });
    expect(listed.code).toBe(0);
    for (const name of ["exam", "deep", "p/x", "p/y", "p/z"]) expect(listed.out).toMatch(new RegExp(`^${name} `, "m"));
    writeConfig(folder, "models: {a: {kind: vot}}");
    expect(await run(["check"], { folder })).toMatchObject({ code: 1, out: "", err: expect.stringContaining('did you mean "vote"?') });
  });

  test("prints the JSON Schema of the config, and nothing else", async () => {
    const { code, out } = await run(["schema"]);
    expect(code).toBe(0);
    // `test/config/schema.test.ts` has what it accepts.
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
  });
});

describe("the environment", () => {
  test("HOST and PORT win over the file, LOG_LEVEL says what is written", async () => {
    const folder = newFolder();
    const config = {
      store: { kind: "memory" },
      server: { host: "192.0.2.1", port: 1 },
      log: { level: "fatal" },
      providers: { demo: { kind: "demo" } },
    };
    const gateway = await serve(config, { folder, env: { LOG_LEVEL: "info" } });
    expect(new URL(gateway.url).hostname).toBe("127.0.0.1");
    await (await gateway.ask({ model: "demo/alto" })).text();
    expect(await gateway.line(({ msg }) => msg === "request")).toMatchObject({ model: "demo/alto", status: 200 });
  });

  test("a quiet gateway writes nothing, and says nothing on standard error", async () => {
    const folder = newFolder();
    writeConfig(folder, { store: { kind: "memory" }, server: { port: await busyPort() } });
    const { out } = await run([], { folder, env: { LOG_LEVEL: "silent", HOST: "127.0.0.1" } });
    expect(out).toBe("");
  });
});
