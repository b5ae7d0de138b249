import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { change, type ChatBody, chatRequest, type ChatRequest, ownRequest, readSource, requestBytes } from "../../src/model/request.ts";
import { jsonObject } from "../support/json.ts";

function requestOf(text: string): ChatRequest {
  const { body, source } = readSource(Buffer.from(text));
  return chatRequest(body as ChatBody, source);
}

type Edits = Readonly<Record<string, unknown>>;

function written(text: string, edits: Edits, extra: Edits = {}): string {
  return requestBytes(change(requestOf(text), edits), extra).toString();
}

/** What the edits mean, on a plain object. */
function edited(body: Edits, edits: Edits): Edits {
  const kept = Object.entries(body).map(([key, value]) => [key, Object.hasOwn(edits, key) ? edits[key] : value] as const);
  const added = Object.entries(edits).filter(([key]) => !Object.hasOwn(body, key));
  return Object.fromEntries([...kept, ...added].filter(([, value]) => value !== undefined));
}

/** Some keys of the object, and some that it may not have, set to values or removed. */
function editsOf(keys: readonly string[]): fc.Arbitrary<Edits> {
  const key = fc.constantFrom(...keys.filter((name) => name !== "__proto__"), "model", "stream", "stream_options", "überall");
  const value = fc.oneof(fc.jsonValue(), fc.constant(undefined));
  return fc.array(fc.tuple(key, value), { maxLength: 4 }).map((entries) => Object.fromEntries(entries) as Edits);
}

const editedObjects = jsonObject.chain((object) => {
  const keys = object.members.map(({ key }) => key);
  return fc.record({ object: fc.constant(object), edits: editsOf(keys), extra: editsOf(keys) });
});

/** As JSON.parse makes it: -0 is written as 0. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe("requestBytes", () => {
  test("without edits is the client's own bytes", () => {
    fc.assert(
      fc.property(jsonObject, ({ text }) => {
        const buffer = Buffer.from(text);
        expect(requestBytes(chatRequest({} as ChatBody, readSource(buffer).source), {}).equals(buffer)).toBe(true);
      }),
    );
  });

  test("parses to the edited object", () => {
    fc.assert(
      fc.property(editedObjects, ({ object, edits, extra }) => {
        const body = Object.fromEntries(object.members.map(({ key, value }) => [key, JSON.parse(value) as unknown]));
        expect(requestOf(object.text).body).toEqual(body);
        const result = requestOf(written(object.text, edits, extra)).body;
        expect(plain(result)).toEqual(plain(edited(edited(body, edits), extra)));
      }),
      { numRuns: 500 },
    );
  });

  test("leaves every value that no edit names as it was to the byte, in its order", () => {
    fc.assert(
      fc.property(editedObjects, ({ object, edits, extra }) => {
        const { source } = readSource(Buffer.from(written(object.text, edits, extra)));
        const untouched = object.members.filter(({ key }) => !Object.hasOwn(edits, key) && !Object.hasOwn(extra, key));
        const found = [...source.scan.spans].map(([key, [, from, to]]) => ({
          key,
          value: Buffer.from(source.text.slice(from, to), "latin1").toString(),
        }));
        const names = new Set(untouched.map(({ key }) => key));
        expect(found.filter(({ key }) => names.has(key))).toEqual(untouched);
        expect(source.scan.keys).toBe(source.scan.spans.size);
      }),
      { numRuns: 500 },
    );
  });

  test("replaces in place, adds in front, and keeps white space and digits", () => {
    const text = '{ "seed": 12345678901234567890,\n  "model": "smart" }';
    expect(written(text, { model: "gpt-5", n: 2 })).toBe('{"n":2, "seed": 12345678901234567890,\n  "model": "gpt-5" }');
    expect(written(text, { model: undefined })).toBe('{ "seed": 12345678901234567890}');
    expect(written("{ }", { n: 2 })).toBe('{"n":2 }');
  });

  test("lets the leaf's edits win over the request's", () => {
    expect(written('{"model":"smart"}', { model: "a", n: 2 }, { model: "b", n: undefined })).toBe('{"model":"b"}');
  });
});

describe("readSource", () => {
  test("tells a key that stands twice, in any script and with any escapes", () => {
    const isDoubled = (text: string) => {
      const { scan } = readSource(Buffer.from(text)).source;
      return scan.keys > scan.spans.size;
    };
    expect(['{"n":1,"n":2}', '{"n":1,"\\u006e":2}', '{"é":1,"\\u00e9":2}', '{"é":1,"é":2}'].map(isDoubled)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['{"n":1,"N":2}', '{"é":1,"\\u00c3\\u00a9":2}', '{"n":{"n":1}}'].map(isDoubled)).toEqual([false, false, false]);
    fc.assert(fc.property(jsonObject, ({ text }) => !isDoubled(text)));
  });

  // https://github.com/nodejs/node/issues/63785: where V8 has seen one key only after a first one, it takes escaped keys for that one.
  test("reads an escaped key as the upstream will", () => {
    readSource(Buffer.from('{"seen once":[],"\\\\":0}'));
    expect(requestOf('{"seen once":1,"\\u006e":100}').body).toEqual({ "seen once": 1, n: 100 });
    expect(requestOf('{"seen once":"é","\\u006e":100}').body).toEqual({ "seen once": "é", n: 100 });
  });

  test("throws a SyntaxError for what is not JSON", () => {
    expect(() => readSource(Buffer.from('{"a":}'))).toThrow(SyntaxError);
  });
});

describe("change", () => {
  test("makes a copy, and leaves the request as it was", () => {
    const request = requestOf('{"model":"smart","messages":[],"n":2}');
    const changed = change(change(request, { n: undefined, seed: 7 }), { seed: 8 });
    expect(changed.body).toEqual({ model: "smart", messages: [], seed: 8 });
    expect(request.body).toEqual({ model: "smart", messages: [], n: 2 });
    expect(JSON.parse(requestBytes(changed, {}).toString())).toEqual(changed.body);
  });

  test("brings back a field that was removed", () => {
    const request = change(change(requestOf('{"model":"smart","messages":[]}'), { model: undefined }), { model: "b" });
    expect(JSON.parse(requestBytes(request, {}).toString())).toEqual({ model: "b", messages: [] });
  });

  test("of a request without client bytes works the same", () => {
    const body = { model: "judge", messages: [{ role: "user", content: "Ü" }] };
    expect(requestBytes(change(ownRequest(body), { n: 1 }), {}).toString()).toBe(`{"n":1,${JSON.stringify(body).slice(1)}`);
  });
});
