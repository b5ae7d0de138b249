import { describe, expect, test } from "vitest";
import { Packer, type Packed } from "../../src/http/packed.ts";
import * as fc from "../support/properties.ts";

/** What may be packed, as calls of the packer and of the reader. */
const item = fc.oneof(
  fc.record({ number: fc.option(fc.double({ noNaN: true }), { nil: undefined }) }),
  fc.record({ name: fc.option(fc.string({ maxLength: 300 }), { nil: undefined }) }),
  fc.record({ text: fc.option(fc.string(), { nil: undefined }) }),
);
type Item = typeof item extends fc.Arbitrary<infer T> ? T : never;

function pack(packer: Packer, items: readonly Item[]): Packed {
  packer.begin();
  for (const item of items) {
    if ("number" in item) packer.number(item.number);
    else if ("name" in item) packer.name(item.name);
    else packer.text(item.text);
  }
  return packer.packed();
}

function unpack(packed: Packed, items: readonly Item[]): readonly Item[] {
  const reader = packed.read();
  const read = items.map((item): Item => {
    if ("number" in item) return { number: reader.number() };
    return "name" in item ? { name: reader.text() } : { text: reader.text() };
  });
  expect(reader.isAtEnd).toBe(true);
  return read;
}

describe("packed values", () => {
  test("are what they were, whatever was packed after them", () => {
    fc.assert(
      fc.property(fc.array(fc.array(item, { maxLength: 400 }), { maxLength: 12 }), (values) => {
        const packer = new Packer();
        const kept = values.map((items) => pack(packer, items));
        for (const [index, items] of values.entries()) {
          const packed = kept[index];
          expect(packed && unpack(packed, items)).toEqual(items);
        }
      }),
    );
  });

  test("may be larger than what is kept together", () => {
    const packer = new Packer();
    const large = Array.from({ length: 100_000 }, (_, number) => ({ number }));
    const small = [{ name: "small" }, { number: 1 }];
    const kept = [small, large, small, large].map((items) => ({ items, packed: pack(packer, items) }));
    for (const { items, packed } of kept) expect(unpack(packed, items)).toEqual(items);
    expect(kept[1]?.packed.size).toBeGreaterThanOrEqual(800_000);
  });

  test("pay for a name that none before them had, and keep no name that is only in others long gone", () => {
    const packer = new Packer();
    const named = (name: string) => pack(packer, [{ name }]);
    const first = named("openai/model");
    const second = named("openai/model");
    expect(first.size - second.size).toBe(2 * "openai/model".length);
    // More values than stand together: the register begins anew.
    const many = Array.from({ length: 40_000 }, (_, index) => ({ name: `model ${index}` }));
    const kept = many.map(({ name }) => named(name));
    expect(named("openai/model").size).toBe(first.size);
    for (const [index, item] of many.entries()) expect(kept[index] && unpack(kept[index], [item])).toEqual([item]);
    expect(unpack(first, [{ name: "openai/model" }])).toEqual([{ name: "openai/model" }]);
  });

  test("know nothing of one that was given up", () => {
    const packer = new Packer();
    packer.begin();
    packer.number(1);
    packer.text("given up");
    const items = [{ text: "whole" }, { number: 2 }];
    expect(unpack(pack(packer, items), items)).toEqual(items);
  });
});
