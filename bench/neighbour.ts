// The process beside the system under test: the upstream that it asks and the clients that ask it. While it carries out an order it never sleeps. To wake a
// process on an idle core is dear on a virtual machine, and whoever writes to it pays: the quicker of two systems keeps its neighbour awake, the
// slower one would be charged for being slower.
import { carryOut } from "./load.ts";
import type { Order } from "./load.ts";
import { servedSoFar, startMock } from "./mock.ts";

let awake = false;

function stayAwake(): void {
  if (awake) setImmediate(stayAwake);
}

async function measure(order: Order): Promise<void> {
  // Where both share a core it would take what it measures.
  awake = order.core !== undefined;
  stayAwake();
  const outcome = await carryOut(order);
  awake = false;
  process.send?.(outcome);
}

/** An order is carried out; to anything else it says how many calls the upstream has had. */
process.on("message", (message: Order | Record<string, never>) => {
  if ("port" in message) void measure(message as Order);
  else process.send?.(servedSoFar());
});
process.on("disconnect", () => process.exit());
process.send?.(await startMock());
