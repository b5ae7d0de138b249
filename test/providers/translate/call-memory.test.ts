import { expect, test } from "vitest";
import { CallMemory } from "../../../src/providers/translate/call-memory.ts";

const newMemory = (bounds: { entries: number; size: number }) => new CallMemory<string>((kept) => kept.length, bounds);

test("remembers for the caller alone, and the last that was said", () => {
  const memory = newMemory({ entries: 10, size: 1000 });
  memory.of("a").keep("c1", "x");
  memory.of("a").keep("c1", "y");
  expect([memory.of("a").recall("c1"), memory.of("b").recall("c1"), memory.of("a").recall("c2")]).toEqual(["y", undefined, undefined]);
  // A name with a separator in it is still one caller's.
  memory.of('a","b').keep("c", "z");
  expect(memory.of("a").recall('b","c')).toBeUndefined();
});

test("forgets the oldest when there are too many", () => {
  const memory = newMemory({ entries: 2, size: 1000 });
  const of = memory.of("a");
  for (const id of ["1", "2", "3"]) of.keep(id, id);
  of.keep("2", "again");
  of.keep("4", "4");
  expect(["1", "2", "3", "4"].map((id) => of.recall(id))).toEqual([undefined, "again", undefined, "4"]);
});

test("forgets when there is too much, and never keeps what is too large by itself", () => {
  const memory = newMemory({ entries: 100, size: 60 });
  const of = memory.of("a");
  of.keep("1", "x".repeat(20));
  of.keep("2", "x".repeat(30));
  expect(["1", "2"].map((id) => of.recall(id)?.length)).toEqual([undefined, 30]);
  of.keep("3", "x".repeat(100));
  of.keep("4", "y");
  expect(["2", "3", "4"].map((id) => of.recall(id))).toEqual([undefined, undefined, "y"]);
});
