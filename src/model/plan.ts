import type { Heeds } from "./heeds.ts";

/** What a node may cost and how it answers, known before any call. Made by pure functions at boot. */
export interface Plan {
  /** Upstream calls at best and at worst, retries not counted. */
  readonly calls: readonly [best: number, worst: number];
  /** What it takes of its slot when every attempt fails and each is made again; one where absent. */
  readonly attempts?: number;
  /** Sequential upstream calls at worst: the shape of the latency. */
  readonly depth: number;
  /** Whose tokens may stream to the client; `none` when the answer comes in one go. */
  readonly tail: string;
  /** Whether the node reads the answers' content; where nobody does, bytes go through. */
  readonly reads: boolean;
  /** The drawing: children with the part that they play. */
  readonly edges: readonly Edge[];
  /** Its `finish` tells the agreement behind the answer. */
  readonly agreement?: boolean;
  /** What of a request, beside its fields, decides the answer; of the node itself, not of its children. */
  readonly heeds?: Heeds;
  /** Who answers turns with tools, when the kind has a rule for it. */
  readonly tools?: string;
  /** The plan of a turn with tools alone, where the rule asks more than an owner. */
  readonly toolTurn?: Plan;
  /** How the children depend on each other, where that is more than a list. */
  readonly drawing?: Drawing;
}

/** A graph to be drawn. */
export interface Drawing {
  readonly boxes: readonly {
    readonly name: string;
    /** The model, or what else is done there. */
    readonly title: string;
    /** It judges, and may send work back. */
    readonly decides: boolean;
  }[];
  readonly arrows: readonly {
    readonly from: string;
    readonly to: string;
    /** Where no work goes along it: what a verdict does. */
    readonly verdict?: "back" | "pass";
  }[];
}

export interface Edge {
  readonly role: string;
  readonly child: Planned;
}

/** A node with its plan. */
export interface Planned {
  /** What to print: the kind, or the name of a model. */
  readonly title: string;
  readonly plan: Plan;
}

/** The plan of one upstream call. */
export const leafPlan: Plan = { calls: [1, 1], depth: 1, tail: "its own", reads: false, edges: [] };
