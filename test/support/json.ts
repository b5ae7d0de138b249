import * as fc from "./properties.ts";

/** A JSON object as somebody may have written it: the text of each member, and the whole. */
export interface WrittenObject {
  readonly members: readonly { readonly key: string; readonly value: string }[];
  readonly text: string;
}

const space = fc.constantFrom("", "", " ", "\n  ", "\t", "\r\n");

/** Some characters of a string written as escapes, as any writer may. */
function escaped(text: string, every: number): string {
  const plain = JSON.stringify(text).slice(1, -1);
  if (every === 0 || plain.includes("\\")) return `"${plain}"`;
  const units = text.split("").map((unit, index) => {
    const isHalf = /[\ud800-\udfff]/.test(unit);
    return index % every === 0 || isHalf ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}` : JSON.stringify(unit).slice(1, -1);
  });
  return `"${units.join("")}"`;
}

const key = fc.oneof(
  fc.constantFrom("model", "messages", "seed", "n", "café", "ключ", "😀", "__proto__", "toString", "0", "10"),
  fc.string({ unit: "grapheme", maxLength: 5 }),
  fc.string({ maxLength: 5 }),
);

/** Without escapes in nested keys: V8 misreads some (https://github.com/nodejs/node/issues/63785), and nothing here is about that. */
const jsonValue = fc.jsonValue().filter((given) => !JSON.stringify(given).includes("\\"));

/** Values whose text says more than what JSON.parse makes of it, and any others. */
const value = fc.oneof(
  fc.constantFrom("12345678901234567890", "-0", "1.0", "1e400", "0.1000", '"\\u0041\\/"', "null", "[ ]", '{ "a" : [1,{"b":"}"}] }'),
  jsonValue.map((given) => JSON.stringify(given)),
  jsonValue.map((given) => JSON.stringify(given, undefined, 2)),
  fc.string({ unit: "grapheme" }).map((given) => JSON.stringify(given)),
);

/** Objects without a key that stands twice, written with any white space, escapes and digits. */
export const jsonObject: fc.Arbitrary<WrittenObject> = fc
  .record({
    members: fc.uniqueArray(
      fc.record({
        key,
        value,
        every: fc.constantFrom(0, 0, 1, 2),
        around: fc.array(space, { minLength: 4, maxLength: 4 }),
      }),
      {
        selector: (member) => member.key,
        maxLength: 8,
      },
    ),
    around: fc.tuple(space, space, space),
  })
  .map(({ members, around: [before, inside, after] }) => {
    const written = members.map(
      ({ key, value, every, around: [a = "", b = "", c = "", d = ""] }) => `${a}${escaped(key, every)}${b}:${c}${value}${d}`,
    );
    return {
      members: members.map(({ key, value }) => ({ key, value })),
      text: `${before}{${written.join(",") || inside}}${after}`,
    };
  });
