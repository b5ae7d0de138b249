import * as z from "zod";

/** They frame a request, which the client of HTTP does: told twice, or wrongly, they break the connection. */
const framing: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const name = z
  .string()
  .regex(/^[\w-]+$/)
  .refine((text) => !framing.has(text.toLowerCase()), { error: "this header frames a request; leave it to the gateway" });

/** Headers that an operator adds to every request to a provider. */
export const ownHeaders = z.record(name, z.string().regex(/^[\t\x20-\x7e]*$/)).default({});
