import { rankAll, type Sitting, type Putting } from "./judge.ts";
import type { Role } from "../seats.ts";
import type { Showable } from "../showing.ts";

/** A candidate with its author, who ranks the others. */
export interface Peer extends Showable {
  readonly author: Role;
}

export interface PeerReview {
  /** In the order of the peers: the mean of what the others gave, 1 for first, 0 for last; undefined where nobody ranked it. */
  readonly scores: readonly (number | undefined)[];
  /** Whom each reviewer put where: reviewer -> candidate -> place, 1 is best. */
  readonly places: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Why reviews are missing, by reviewer. */
  readonly missing: Readonly<Record<string, string>>;
}

/**
 * Every author puts the others' answers in order, anonymous, never its own; all at once. A place counts (k - place) / (k - 1) of the k
 * that were ranked. Places and not grades: nobody grades itself, so a harsh grader would lift its own answer above those that it grades.
 */
export async function reviewPeers(peers: readonly Peer[], putting: Putting, sitting: Sitting): Promise<PeerReview> {
  const rankers = peers.map((peer) => ({
    judge: peer.author,
    label: `review by ${peer.label}`,
    items: peers.filter((other) => other !== peer),
  }));
  const replies = await rankAll(rankers, putting, sitting);
  const given = new Map<Peer, number[]>();
  const places: Record<string, Record<string, number>> = {};
  const missing: Record<string, string> = {};
  for (const [index, reply] of replies.entries()) {
    const reviewer = peers[index]?.label ?? "";
    if (!reply.ok) {
      missing[reviewer] = reply.why;
      continue;
    }
    const ranked = reply.value.places;
    places[reviewer] = Object.fromEntries(ranked.map(({ item, place }) => [item.label, place]));
    for (const { item, place } of ranked) {
      const marks = given.get(item) ?? [];
      marks.push((ranked.length - place) / Math.max(1, ranked.length - 1));
      given.set(item, marks);
    }
  }
  const scores = peers.map((peer) => {
    const marks = given.get(peer);
    return marks && marks.reduce((sum, mark) => sum + mark, 0) / marks.length;
  });
  return { scores, places, missing };
}
