import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

/** Prints how many objects of `process.nextTick` live through a full collection of an idle process. */
const count = `
import { Session } from "node:inspector/promises";
await new Promise((resolve) => setImmediate(resolve));
const session = new Session();
session.connect();
let text = "";
session.on("HeapProfiler.addHeapSnapshotChunk", ({ params }) => { text += params.chunk; });
await session.post("HeapProfiler.takeHeapSnapshot", { captureNumericValue: true });
const { snapshot: { meta }, nodes, edges, strings } = JSON.parse(text);
const [width, counted] = [meta.node_fields.length, meta.node_fields.indexOf("edge_count")];
let ticks = 0;
let at = 0;
for (let node = 0; node < nodes.length; node += width) {
  const names = new Set();
  for (let edge = 0; edge < nodes[node + counted]; edge += 1, at += 3)
    if (meta.edge_types[0][edges[at]] === "property") names.add(strings[edges[at + 1]]);
  if (names.has("callback") && names.has("<symbol trigger_async_id_symbol>")) ticks += 1;
}
console.log(ticks);
`;

async function ticksAlive(before: string): Promise<number> {
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", before + count], { cwd: import.meta.dirname });
  return Number(stdout);
}

test("one object of process.nextTick outlives every collection, so that V8 keeps knowing how they look", async () => {
  expect(await ticksAlive("")).toBe(0);
  expect(await ticksAlive('import { keepTick } from "../../src/kept-tick.ts"; keepTick(); keepTick();')).toBe(1);
});
