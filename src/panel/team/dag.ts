/** A node of a graph, as its shape needs it. */
export interface DagNode {
  readonly name: string;
  /** The nodes whose work it reads. */
  readonly inputs: readonly string[];
  /** It judges what it reads, and may send the work back to this node. */
  readonly verify?: string | undefined;
}

/** A graph whose shape is sound. */
export interface Dag {
  /** Every node after all that it waits for. */
  readonly order: readonly string[];
  /** Whose work is the answer. */
  readonly sink: string;
  /** Whether somebody judges the answer before it may be given out. */
  readonly held: boolean;
  /** What each node waits for: its inputs, and the verdicts on which they depend. */
  readonly waits: ReadonlyMap<string, readonly string[]>;
  /** What is made again when a verify node sends work back: the node that it names, itself, and all between, in order. */
  readonly again: ReadonlyMap<string, readonly string[]>;
}

/** Something wrong with a graph, at its place below the node of the config. */
export interface DagFault {
  readonly at: string;
  readonly message: string;
}

type Links = ReadonlyMap<string, readonly string[]>;

/** All nodes from which `name` can be reached, itself included. */
function above(name: string, links: Links, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(name)) return found;
  found.add(name);
  for (const one of links.get(name) ?? []) above(one, links, found);
  return found;
}

/** The nodes in an order in which each comes after all that it is linked to, or the first circle. */
function sorted(names: readonly string[], links: Links): { readonly order: readonly string[]; readonly circle?: readonly string[] } {
  const order: string[] = [];
  const done = new Set<string>();
  let circle: readonly string[] | undefined;
  const visit = (name: string, way: readonly string[]): void => {
    if (circle || done.has(name)) return;
    if (way.includes(name)) {
      circle = [...way.slice(way.indexOf(name)), name];
      return;
    }
    for (const one of links.get(name) ?? []) visit(one, [...way, name]);
    done.add(name);
    order.push(name);
  };
  for (const name of names) visit(name, []);
  return circle ? { order, circle } : { order };
}

function faultOfInputs(nodes: readonly DagNode[]): DagFault | undefined {
  const names = nodes.map(({ name }) => name);
  for (const { name, inputs, verify } of nodes) {
    for (const [index, input] of inputs.entries()) {
      const at = `nodes.${name}.inputs[${index}]`;
      if (!names.includes(input)) return { at, message: `there is no node "${input}" in this graph; there are ${names.join(", ")}` };
      if (inputs.indexOf(input) !== index) return { at, message: `"${input}" is read twice; name it once` };
    }
    if (verify === undefined || names.includes(verify)) continue;
    return { at: `nodes.${name}.verify`, message: `there is no node "${verify}" in this graph; there are ${names.join(", ")}` };
  }
  return undefined;
}

/** Faults of the verify nodes of a graph without circles. */
function faultOfVerify(nodes: readonly DagNode[], inputs: Links): DagFault | undefined {
  for (const { name, verify } of nodes) {
    if (verify === undefined) continue;
    const at = `nodes.${name}.verify`;
    if (nodes.some((other) => other.name === verify && other.verify !== undefined)) {
      return { at, message: `"${verify}" verifies itself; name the node whose work is to be made again` };
    }
    if (above(name, inputs).has(verify)) continue;
    return { at, message: `"${name}" reads nothing that comes from "${verify}"; add it to the inputs, or name a node above` };
  }
  return undefined;
}

/** The one node whose work is the answer. */
function sinkOf(nodes: readonly DagNode[], output: string | undefined): string | DagFault {
  if (output !== undefined) {
    const named = nodes.find(({ name }) => name === output);
    if (!named) {
      return { at: "output", message: `there is no node "${output}" in this graph; there are ${nodes.map(({ name }) => name).join(", ")}` };
    }
    return named.verify === undefined ? output : { at: "output", message: `"${output}" verifies; its verdict is no answer` };
  }
  const read = new Set(nodes.filter(({ verify }) => verify === undefined).flatMap(({ inputs }) => inputs));
  const [only, ...others] = nodes.filter(({ name, verify }) => verify === undefined && !read.has(name)).map(({ name }) => name);
  if (only === undefined) return { at: "nodes", message: "every node verifies, so nobody answers; add one that does" };
  if (others.length === 0) return only;
  return { at: "output", message: `nobody reads ${[only, ...others].join(" and ")}; set \`output\` to the one that answers` };
}

function faultOfUnread(nodes: readonly DagNode[], sink: string, inputs: Links): DagFault | undefined {
  const ends = [sink, ...nodes.filter(({ verify }) => verify !== undefined).map(({ name }) => name)];
  const read = new Set(ends.flatMap((end) => [...above(end, inputs)]));
  const unread = nodes.find(({ name }) => !read.has(name));
  if (!unread) return undefined;
  return {
    at: `nodes.${unread.name}`,
    message: `no way leads from here to "${sink}", the answer; name it in the inputs of a node, or remove it`,
  };
}

/**
 * Adds the gates: what comes from the node that a verdict may send back, and is not judged by it, waits for it. So nothing is made of work that
 * is about to be made again, and of two verdicts on one work the second waits for the first.
 */
function gated(nodes: readonly DagNode[], order: readonly string[], inputs: Links): Links {
  const waits = new Map(inputs);
  const verifiers = order.flatMap((name) => nodes.filter((node) => node.name === name && node.verify !== undefined));
  for (const { name, verify = "" } of verifiers) {
    const judged = above(name, waits);
    for (const other of order) {
      if (judged.has(other) || !above(other, waits).has(verify)) continue;
      waits.set(other, [...(waits.get(other) ?? []), name]);
    }
  }
  return waits;
}

/** Reads the shape of a graph: one answer, no circle, nothing that nobody reads; or says what is wrong and how it is mended. */
export function toDag(nodes: readonly DagNode[], output: string | undefined): Dag | DagFault {
  const names = nodes.map(({ name }) => name);
  const inputs: Links = new Map(nodes.map((node) => [node.name, node.inputs]));
  const unknown = faultOfInputs(nodes);
  if (unknown) return unknown;
  const { order: first, circle } = sorted(names, inputs);
  if (circle) {
    const message = `the nodes need each other in a circle: ${circle.toReversed().join(" -> ")}; remove one of these inputs`;
    return { at: `nodes.${circle[0] ?? ""}.inputs`, message };
  }
  const sink = sinkOf(nodes, output);
  if (typeof sink !== "string") return sink;
  const fault = faultOfVerify(nodes, inputs) ?? faultOfUnread(nodes, sink, inputs);
  if (fault) return fault;
  const waits = gated(nodes, first, inputs);
  const { order } = sorted(names, waits);
  const again = new Map<string, readonly string[]>();
  for (const { name, verify } of nodes) {
    if (verify === undefined) continue;
    const judged = above(name, waits);
    again.set(
      name,
      order.filter((one) => judged.has(one) && above(one, waits).has(verify)),
    );
  }
  const held = [...again.keys()].some((verifier) => above(verifier, waits).has(sink));
  return { order, sink, held, waits, again };
}

/** What making a node's work may cost. */
export interface DagCost {
  readonly calls: readonly [best: number, worst: number];
  readonly depth: number;
}

/**
 * The cost of a graph: every node once at best; at worst each verify node sends its part back `turns` times. The depth is the longest way, with
 * the ways back on it; where one loop stands inside another, an upper bound.
 */
export function costOfDag(dag: Dag, costOf: (name: string) => DagCost, turns: number): DagCost {
  const worst = (names: readonly string[]) => names.reduce((sum, name) => sum + costOf(name).calls[1], 0);
  const loops = [...dag.again.values()].reduce((sum, names) => sum + worst(names) * turns, 0);
  /** When the last of these nodes is done; what it waits for outside of them was done before. */
  const longest = (names: readonly string[], skip?: string): number => {
    const done = new Map<string, number>();
    for (const name of names) {
      const before = Math.max(0, ...(dag.waits.get(name) ?? []).map((one) => done.get(one) ?? 0));
      const loop = name === skip ? [] : (dag.again.get(name) ?? []);
      done.set(name, before + costOf(name).depth + (loop.length > 0 ? longest(loop, name) * turns : 0));
    }
    return Math.max(0, ...done.values());
  };
  return {
    calls: [dag.order.reduce((sum, name) => sum + costOf(name).calls[0], 0), worst(dag.order) + loops],
    depth: longest(dag.order),
  };
}
