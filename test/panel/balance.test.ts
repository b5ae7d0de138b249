import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/model/errors.ts";
import { Pace } from "../../src/panel/balance/pace.ts";
import { Peer } from "../../src/panel/balance/peer.ts";
import { Pool } from "../../src/panel/balance/pick.ts";
import { distance, sessionOf } from "../../src/panel/balance/session.ts";
import { serve } from "../../src/panel/balance/turn.ts";
import { ToolOwners } from "../../src/panel/tools/owners.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, fails, says, type Script } from "../support/fake-model.ts";

const down = new GatewayError("upstream_error", "It failed.");
const gone = new GatewayError("client_closed", "The client has left.");

function newPeer(id: string, ...scripts: readonly Script[]): Peer {
  return new Peer({ id, model: new FakeModel(id, ...scripts), weight: 1, usd: () => undefined, decayMs: 1000, restMs: 0 });
}

describe("a pace", () => {
  test("takes a slower sample whole, and is drawn down by faster ones with time", () => {
    const pace = new Pace(1000);
    expect(pace.read(0)).toBeUndefined();
    pace.record(100, 0);
    pace.record(400, 0);
    expect(pace.read(0)).toBe(400);
    // After ln(2) decay times half of what was is left, and the other half is the new sample.
    const half = 1000 * Math.LN2;
    pace.record(100, half);
    expect(pace.read(half)).toBeCloseTo(250, 9);
  });

  test("fades when nobody renews it", () => {
    const pace = new Pace(1000);
    pace.record(800, 0);
    expect(pace.read(3000 * Math.LN2)).toBeCloseTo(100, 9);
  });

  test("is not moved by a clock that stands still or goes back", () => {
    const pace = new Pace(1000);
    pace.record(800, 5000);
    expect(pace.read(4000)).toBe(800);
  });
});

test("requests under way are counted down whatever becomes of them", async () => {
  const script = fc.constantFrom<Script>(
    says("One", "Two"),
    fails(down),
    { moves: [{ text: "One" }, { fail: down }] },
    { moves: [{ text: "One" }, "cut"] },
    { moves: ["role", "stall"] },
    { moves: [{ text: "One" }, "stall"] },
  );
  const client = fc.record({
    leavesMs: fc.integer({ min: 0, max: 50 }),
    stopAfter: fc.option(fc.integer({ min: 0, max: 3 }), { nil: Infinity }),
  });
  const holds = async (scripts: readonly Script[], clients: readonly { readonly leavesMs: number; readonly stopAfter: number }[]) => {
    const clock = manualClock();
    const peers = [newPeer("a", ...scripts), newPeer("b", ...scripts.toReversed())];
    const owners = new ToolOwners("pool", ["a", "b"]);
    const balance = { name: "pool", by: "leastBusy", peers, pool: new Pool(peers, "leastBusy"), owners, tries: 2 } as const;
    const visit = async ({ leavesMs, stopAfter }: (typeof clients)[number]) => {
      const controller = new AbortController();
      using _leave = clock.timer(leavesMs, () => controller.abort(gone));
      let seen = 0;
      for await (const _ of serve(balance, newRequest(), newCall({ clock, signal: controller.signal }))) if ((seen += 1) > stopAfter) break;
    };
    await clock.drive(Promise.allSettled(clients.map(visit)));
    expect(peers.map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  };
  const property = fc.asyncProperty(
    fc.array(script, { minLength: 1, maxLength: 3 }),
    fc.array(client, { minLength: 1, maxLength: 5 }),
    holds,
  );
  await fc.assert(property, { numRuns: 200 });
});

describe("a session", () => {
  test("is the same in every process and version: a change would move all of them", () => {
    const session = sessionOf(newRequest({ user: "u" }), newCall());
    expect(session.slice(0, 12)).toMatchInlineSnapshot(`"7abb181ce2d1"`);
    expect(distance(session, { id: "a", weight: 1 })).toBeCloseTo(2 * distance(session, { id: "a", weight: 2 }), 12);
  });

  test("of one principal is never another's", () => {
    const of = (name: string) => sessionOf(newRequest({ user: "u" }), newCall({ principal: { name } }));
    expect(of("one")).not.toBe(of("two"));
  });

  test("of a conversation without a user begins with its first message", () => {
    const of = (...texts: readonly string[]) =>
      sessionOf(newRequest({ messages: texts.map((content) => ({ role: "assistant", content })) }), newCall());
    expect(of("Hi", "there")).toBe(of("Hi"));
    expect(of("Hi")).not.toBe(of("Ho"));
  });
});
