import { describe, expect, test } from "vitest";
import { newLatency } from "../../src/model/latency.ts";
import { requestBytes } from "../../src/model/request.ts";
import { labelAt, newNonce, shownText, shuffled } from "../../src/panel/candidates.ts";
import { seatsOf, withSettings, type Place, type Settings } from "../../src/panel/seats.ts";
import { deriveSeed, drawsOf } from "../../src/panel/seed.ts";
import { newCall, newRequest } from "../support/call.ts";
import { FakeModel } from "../support/fake-model.ts";

function place(name: string, sample = 0, settings: Settings = {}): Place {
  return { name, sample, label: `${name}#${sample + 1}`, model: new FakeModel(name), weight: 1, settings, latency: newLatency() };
}

describe("deriveSeed", () => {
  test("is stable: a change would change every seeded answer", () => {
    expect([deriveSeed(1, "a", 0), deriveSeed(1, "a", 1), deriveSeed(1, "b", 0), deriveSeed(2, "a", 0), deriveSeed(-1, "", 0)])
      .toMatchInlineSnapshot(`
      [
        1894882742,
        995828956,
        1313568746,
        759232178,
        1237759778,
      ]
    `);
  });

  test("gives 31 bits, and few collisions", () => {
    const seeds = Array.from({ length: 20_000 }, (_, i) => deriveSeed(i % 100, `member ${i % 10}`, Math.floor(i / 1_000) * 1_000 + i));
    expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31)).toBe(true);
    expect(new Set(seeds).size).toBeGreaterThan(19_990);
  });
});

describe("seatsOf", () => {
  const seeds = (places: readonly Place[], seed?: number, random = 0.5) =>
    seatsOf({ places, reserves: [] }, newRequest(seed === undefined ? {} : { seed }), newCall({ random: () => random })).seats.map(
      ({ request }) => request.body.seed,
    );

  test("adds no seed where the client gave none and every model answers once", () => {
    expect(seeds([place("a"), place("b")])).toEqual([undefined, undefined]);
  });

  test("tells samples of one model apart without a seed, by one draw for the request", () => {
    let draws = 0;
    const call = newCall({
      random: () => {
        draws += 1;
        return 0.25;
      },
    });
    const { seats } = seatsOf({ places: [place("a"), place("a", 1), place("b")], reserves: [] }, newRequest(), call);
    const [first, second, other] = seats.map(({ request }) => request.body.seed);
    expect(draws).toBe(1);
    expect(first).not.toBe(second);
    expect(other).toBeUndefined();
  });

  test("derives every seed from the client's", () => {
    expect(seeds([place("a"), place("a", 1), place("b")], 9)).toEqual([
      deriveSeed(9, "a", 0),
      deriveSeed(9, "a", 1),
      deriveSeed(9, "b", 0),
    ]);
  });
});

describe("withSettings", () => {
  test("leaves a request alone without settings", () => {
    const request = newRequest();
    expect(withSettings(request, {})).toBe(request);
  });

  test.each([
    [{}, { max_completion_tokens: 100 }],
    [{ max_tokens: 50 }, { max_tokens: 50 }],
    [{ max_tokens: 500 }, { max_tokens: 100 }],
    [{ max_completion_tokens: 500 }, { max_completion_tokens: 100 }],
    [
      { max_tokens: 500, max_completion_tokens: 50 },
      { max_tokens: 100, max_completion_tokens: 50 },
    ],
    [{ max_tokens: null }, { max_tokens: null, max_completion_tokens: 100 }],
  ])("caps the limits %j", (given, expected) => {
    const {
      model: _,
      messages: __,
      ...rest
    } = JSON.parse(requestBytes(withSettings(newRequest(given), { maxTokens: 100 }), {}).toString()) as Record<string, unknown>;
    expect(rest).toEqual(expected);
  });
});

describe("candidates", () => {
  test("have labels in the alphabet, and beyond it", () => {
    expect([0, 1, 25, 26, 27, 52, 701, 702].map(labelAt)).toEqual(["A", "B", "Z", "AA", "AB", "BA", "ZZ", "AAA"]);
  });

  test("stand in every order equally often", () => {
    const draw = drawsOf(newRequest({ seed: 4 }), newCall(), "order");
    const counts = new Map<string, number>();
    for (let i = 0; i < 6_000; i += 1) {
      const order = shuffled(["x", "y", "z"], draw)
        .map(({ item }) => item)
        .join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  test("carry a mark of sixteen letters and digits", () => {
    expect(newNonce(() => 0)).toBe("0".repeat(16));
    expect(newNonce(Math.random)).toMatch(/^[0-9a-z]{16}$/);
  });

  test("are cut between characters", () => {
    expect(shownText("ab😀", 0.75)).toBe("ab\uFFFD\n[the rest was cut]");
    expect(shownText("<think>no</think> yes ", 16)).toBe("yes");
  });
});
