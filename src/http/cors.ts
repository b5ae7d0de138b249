import type { IncomingMessage } from "node:http";

const EXPOSED = [
  "x-request-id",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "server-timing",
  "x-chorale-strategy",
  "x-chorale-model",
  "x-chorale-cost-usd",
  "x-chorale-degraded",
  "x-chorale-abstained",
  "x-chorale-warnings",
].join(", ");

/** Response headers for browsers, as a flat list. Empty when the origin is not allowed, or none is configured. */
export type Cors = (request: IncomingMessage) => readonly string[];

/** Allows the configured origins; `*` allows every one. */
export function corsFor(origins: readonly string[]): Cors {
  if (origins.length === 0) return () => [];
  const any = origins.includes("*");
  const allowed = new Set(origins);
  return ({ headers: { origin } }) => {
    if (origin === undefined || (!any && !allowed.has(origin))) return [];
    return ["access-control-allow-origin", any ? "*" : origin, "vary", "origin", "access-control-expose-headers", EXPOSED];
  };
}

/** The further headers of a preflight. A wildcard does not cover `authorization`, so the wanted headers are named back. */
export function preflightHeaders(request: IncomingMessage): readonly string[] {
  const wanted = request.headers["access-control-request-headers"];
  return [
    "access-control-allow-methods",
    "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers",
    wanted !== undefined && /^[\w\-, ]{1,2000}$/.test(wanted) ? wanted : "authorization, content-type",
    "access-control-max-age",
    "86400",
  ];
}
