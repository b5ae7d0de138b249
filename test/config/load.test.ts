import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ConfigError, type Problem } from "../../src/config/config-error.ts";
import { checkConfig, findConfig, loadConfig, loadOrDiscover } from "../../src/config/load.ts";
import type { Env } from "../../src/config/interpolate.ts";

const load = (text: string, env: Env = {}) => loadConfig({ text, env });

function failureOf(text: string, env: Env = {}): ConfigError {
  try {
    load(text, env);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown;
    throw thrown;
  }
  throw new Error("the config was accepted");
}

const problemsOf = (text: string, env: Env = {}): readonly Problem[] => failureOf(text, env).problems;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("an accepted config", () => {
  test("has the documented defaults when the file is empty", () => {
    const { server, keys, store, providers, models, log } = load("");
    expect({ server, keys, store, providers, models, log }).toEqual({
      server: {
        port: 8080,
        bodyLimitMb: 32,
        heartbeatMs: 10_000,
        heartbeat: "comment",
        commitAfterMs: 20_000,
        drainMs: 30_000,
        headersTimeoutMs: 15_000,
        requestTimeoutMs: 60_000,
        maxInFlight: 4096,
        cors: { origins: [] },
      },
      keys: [],
      store: { kind: "sqlite", path: "data/chorale.db" },
      providers: {},
      models: {},
      log: { level: "info", content: false },
    });
  });

  test("takes a section without content as an absent one", () => {
    expect(load("server:\nkeys:\nmodels:\n  # none yet\n").server.port).toBe(8080);
  });

  test("gives a key every model and no limits unless it says otherwise", () => {
    const { keys } = load("keys: [{name: team-a, key: 0123456789abcdef}]");
    expect(keys).toEqual([{ name: "team-a", key: "0123456789abcdef", models: ["*"], limits: {} }]);
  });

  test("is frozen to its depth", () => {
    const config = load("models: {a: {kind: vote, members: [x, {model: y, weight: 2}]}}");
    const node = config.models["a"] as unknown as { readonly members: readonly object[] };
    expect([config, config.server, config.server.cors, node, node.members, node.members[1]].every(Object.isFrozen)).toBe(true);
  });

  test("keeps the options of kinds as they were written, for the kinds to check", () => {
    const { providers, models } = load('providers: {gpu: {kind: openai, anything: [1]}}\nmodels: {a: gpu/b, c: {kind: vote, x: "1"}}');
    expect(providers).toEqual({ gpu: { kind: "openai", anything: [1] } });
    expect(models).toEqual({ a: "gpu/b", c: { kind: "vote", x: "1" } });
  });

  test("resolves YAML anchors", () => {
    const { keys } = load(
      "keys:\n  - {name: a, key: 0123456789abcdef, models: &those [x, y]}\n  - {name: b, key: 1123456789abcdef, models: *those}",
    );
    expect(keys[1]?.models).toEqual(["x", "y"]);
  });
});

describe("a variable", () => {
  test.each([
    ["${A}", { A: "1" }, "1"],
    ["x-${A}-${B}", { A: "1", B: "2" }, "x-1-2"],
    ["${A:-usual}", {}, "usual"],
    ["${A:-usual}", { A: "" }, "usual"],
    ["${A:-usual}", { A: "set" }, "set"],
    ["${A:-}", {}, ""],
    ["${A:-http://h:1/v1}", {}, "http://h:1/v1"],
    ["$${A}", { A: "1" }, "${A}"],
    ["$A costs $5", { A: "1" }, "$A costs $5"],
    ["${A}", { A: "${B}", B: "2" }, "${B}"],
    ["${A}", { A: "" }, ""],
  ])("%s with %o becomes %o", (text, env, expected) => {
    expect(checkConfig({ models: { a: { kind: "x", text } } }, env).models["a"]).toEqual({
      kind: "x",
      text: expected,
    });
  });

  test("can not change the structure of the file", () => {
    const { providers } = load('providers: {a: {kind: openai, baseUrl: "${URL}"}}', {
      URL: 'x"}\nkeys: [{name: intruder}]',
    });
    expect(providers).toEqual({ a: { kind: "openai", baseUrl: 'x"}\nkeys: [{name: intruder}]' } });
  });

  test("becomes the number or truth value that its place wants", () => {
    const { server, log } = load('server: {port: "${P}", bodyLimitMb: "${M}"}\nlog: {content: "${C}"}', { P: "9000", M: "1.5", C: "true" });
    expect([server.port, server.bodyLimitMb, log.content]).toEqual([9000, 1.5, true]);
  });

  test("stays text where text is wanted, whatever its digits", () => {
    const { keys } = load('keys: [{name: a, key: "${K}"}]', { K: "00112233445566778899" });
    expect(keys[0]?.key).toBe("00112233445566778899");
  });

  test("of which text is no number is an error that shows its name, not its value", () => {
    expect(problemsOf('server: {port: "${P}"}', { P: "sk-oops" })).toEqual([
      { path: "server.port", message: "found the value of ${P}, expected a number", line: 1 },
    ]);
  });

  test.each([
    "models: {a: {kind: x, text: '${NOPE}'}}",
    "providers: {o: {kind: openai, apiKey: '${NOPE}'}}",
    "keys: [{name: a, key: '${NOPE}'}]",
  ])("that is not set is an error: %s", (text) => {
    expect(problemsOf(text).map(({ message }) => message)).toEqual(["the environment variable NOPE is not set"]);
  });

  test.each([
    ["providers: {o: {kind: openai, apiKey: '${E}'}}", "providers.o.apiKey"],
    ["providers: {o: {kind: openai, apiKeys: [abc, '${E:-}']}}", "providers.o.apiKeys[1]"],
    ["providers: {o: {kind: openai, baseUrl: '${E}'}}", "providers.o.baseUrl"],
    ["keys: [{name: a, key: '${E}'}]", "keys[0].key"],
  ])("that is empty is an error where a secret or an address stands: %s", (text, path) => {
    expect(problemsOf(text, { E: "" })).toEqual([{ path, message: "the environment variable E is empty", line: 1 }]);
  });

  test("with a name that can be none is an error", () => {
    expect(problemsOf("models: {a: '${no name}'}")[0]?.message).toContain("${no name} does not name an environment variable");
  });

  test("HOST, PORT and LOG_LEVEL win over the file", () => {
    const { server, log } = load("server: {port: 1, host: a}\nlog: {level: warn}", {
      HOST: "0.0.0.0",
      PORT: "81",
      LOG_LEVEL: "debug",
    });
    expect([server.host, server.port, log.level]).toEqual(["0.0.0.0", 81, "debug"]);
  });
});

describe("a message", () => {
  test.each([
    ["server: {prot: 1}", "server", 'unknown key "prot"; did you mean "port"?'],
    ["port: 1", "", 'unknown key "port"; it belongs in "server"'],
    ["requestsPerMinute: 1", "", 'unknown key "requestsPerMinute"; it belongs in "keys[].limits"'],
    ["server: {admin: {port: 1}}", "server", /^unknown key "admin"/],
    ["metrics: {}", "", /^unknown key "metrics"/],
    ["models: {a: , b: {kind: demo}}", "models.a", "found nothing, expected the name of a model, or a map with a kind"],
    ["providers: {a: }", "providers.a", "found nothing, expected a provider: {kind: openai, ...}"],
    ["record: {}", "record.path", "found nothing, expected text"],
    ["store: {kind: redis}", "store.kind", 'found "redis", expected one of memory, sqlite'],
    ["store: {kind: sqllite}", "store.kind", 'found "sqllite", expected one of memory, sqlite; did you mean "sqlite"?'],
    ["store: {kind: memory, path: x}", "store", 'unknown key "path"; expected one of kind'],
    ["server: {port: lots}", "server.port", 'found "lots", expected a number'],
    ["server: {port: 1.5}", "server.port", "found 1.5, expected a whole number"],
    ["server: {port: 99999}", "server.port", "found 99999, expected at most 65535"],
    ["server: {maxInFlight: 0}", "server.maxInFlight", "found 0, expected a number above 0"],
    ["server: {cors: {origins: x}}", "server.cors.origins", 'found "x", expected a list'],
    ["server: [1, 2]", "server", "found a list of 2, expected a map"],
    ["server: {heartbeat: dta}", "server.heartbeat", 'found "dta", expected one of comment, data; did you mean "data"?'],
    ["log: {content: maybe}", "log.content", 'found "maybe", expected true or false'],
    ["models: {a: 3}", "models.a", "found 3, expected the name of a model, or a map with a kind: {kind: vote, members: [...]}"],
    [
      "models: {a: {members: []}}",
      "models.a",
      "found a map, expected the name of a model, or a map with a kind: {kind: vote, members: [...]}",
    ],
    ["models: {a/b: c}", 'models["a/b"]', /^the name "a\/b" is not legal/],
    ["providers: {a/b: {kind: openai}}", 'providers["a/b"]', /^the name "a\/b" is not legal/],
    ["providers: {a: {apiKey: x}}", "providers.a.kind", "found nothing, expected text"],
    [
      "keys: [{name: a, key: 0123456789abcdef, budget: {usd: 1, per: week}}]",
      "keys[0].budget.per",
      /found .*, expected one of minute, hour, day, month/,
    ],
    [
      "keys: [{name: a, key: short}]",
      "keys[0].key",
      "found text of 5 characters (not shown), expected at least 16 printable ASCII characters, no spaces",
    ],
    [
      "keys: [{name: a, key: a pass phrase with spaces}]",
      "keys[0].key",
      "found text of 25 characters (not shown), expected at least 16 printable ASCII characters, no spaces",
    ],
    ["- a", "", "found a list of 1, expected a map"],
  ])("on %s names the place and the right word", (text, path, message) => {
    expect(problemsOf(text)).toEqual([
      {
        path,
        message: typeof message === "string" ? message : expect.stringMatching(message),
        line: 1,
      },
    ]);
  });

  test("tells the line of the key that is wrong", () => {
    const text = "server:\n  port: 80\n\n  prot: 81\nmodels:\n  a:\n    - kind: x\n";
    expect(problemsOf(text).map(({ path, line }) => [path, line])).toEqual([
      ["server", 4],
      ["models.a", 6],
    ]);
  });

  test("tells every problem at once, in the order of the file, below the file's name", () => {
    const path = join(temporaryFolder(), "bad.yaml");
    writeFileSync(path, "log: {level: loud}\nserver: {prot: 1}\nkeys: [{name: a, key: '${NOPE}'}]\n");
    expect(() => loadConfig({ path, env: {} })).toThrow(
      [
        `${path}: 3 problems`,
        '  line 1, log.level: found "loud", expected one of fatal, error, warn, info, debug, trace, silent',
        '  line 2, server: unknown key "prot"; did you mean "port"?',
        "  line 3, keys[0].key: the environment variable NOPE is not set",
      ].join("\n"),
    );
  });

  test("on a key's second use names both places", () => {
    const text = "keys:\n  - {name: a, key: 0123456789abcdef}\n  - {name: a, key: 0123456789abcdef}\n";
    expect(problemsOf(text)).toEqual([
      { path: "keys[1].name", message: "the same name as keys[0]", line: 3 },
      { path: "keys[1].key", message: "the same key as keys[0]", line: 3 },
    ]);
  });

  test.each([
    "keys: sk-hidden-value",
    "keys: [sk-hidden-value]",
    "keys: [{name: a, key: hidden-value}]",
    "keys: [{name: [1], key: [hidden-value]}]",
    "providers: {o: {apiKey: hidden-value}}",
    "keys: hidden-value",
    "server: {port: sk-hidden-value}",
    "log: {level: 'Bearer hidden-value'}",
    "log: {level: '${SECRET}'}",
    'store: {kind: sqlite, url: "redis://:hidden-value@host"}',
    "a: 'hidden-value' 'x'",
    "a: &x hidden-value\nb: *hidden-value",
    "a: hidden-value: b",
    "a: [hidden-value",
    "hidden: {\na: hidden-value\n",
  ])("never shows a secret: %s", (text) => {
    expect(failureOf(text, { SECRET: "hidden-value" }).message).not.toContain("hidden-value");
  });
});

describe("YAML", () => {
  test("with the same key twice is refused with its line", () => {
    expect(problemsOf("server: {port: 1}\nlog: {}\nserver: {port: 2}\n")).toEqual([
      { path: "", message: 'the key "server" stands twice', line: 3 },
    ]);
  });

  test("that is broken is refused with its line", () => {
    expect(problemsOf("server:\n  port: [1\nlog: {}\n")[0]).toMatchObject({
      path: "",
      message: expect.stringMatching(/^not valid YAML/),
    });
  });

  test("with exploding aliases is refused", () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array.from({ length: 9 }, () => `*l${i}`).join(",")}]`);
    expect(problemsOf(["l0: &l0 [x]", ...levels].join("\n"))[0]?.message).toContain("aliases");
  });

  test("can not reach the prototype of objects", () => {
    expect(() => load("models: {__proto__: {kind: x}}")).toThrow(ConfigError);
    expect(Object.hasOwn(Object.prototype, "kind")).toBe(false);
  });
});

describe("the config file", () => {
  test("is the one that is named, else CHORALE_CONFIG's", () => {
    expect(findConfig({ CHORALE_CONFIG: "b.yaml" }, "a.yaml")).toBe("a.yaml");
    expect(findConfig({ CHORALE_CONFIG: "b.yaml" })).toBe("b.yaml");
    expect(findConfig({ CHORALE_CONFIG: "" })).toBeUndefined();
  });

  test("that is not there is an error in one line", () => {
    expect(() => loadConfig({ path: "/nowhere/x.yaml", env: {} })).toThrow(
      new ConfigError([{ path: "", message: "there is no such file" }], "/nowhere/x.yaml"),
    );
  });

  test("gives its folder to the paths that stand in it", () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "chorale.yaml"), "");
    expect(loadConfig({ env: { CHORALE_CONFIG: join(folder, "chorale.yaml") } }).origin.folder).toBe(folder);
  });

  test("is not looked for elsewhere once it was named", async () => {
    const probe = () => Promise.reject(new Error("nobody is to be asked"));
    await expect(loadOrDiscover({ path: "/nowhere/x.yaml", env: {}, probe })).rejects.toThrow(ConfigError);
  });

  test("tells the logs what they must not show", () => {
    const text =
      "keys: [{name: a, key: '${K}'}]\nproviders: {o: {kind: openai, apiKey: sk-literal-secret, headers: {x-token: header-secret}}}";
    expect(load(text, { K: "0123456789abcdef" }).secrets).toEqual(["0123456789abcdef", "sk-literal-secret", "header-secret"]);
  });
});
