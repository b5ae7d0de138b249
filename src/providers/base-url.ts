import * as z from "zod";

/** An address in the config. Who asks is told in a header, never in the address: that would be dropped in silence on the way. */
export const baseUrl = z.url({ protocol: /^https?$/ }).refine(
  (text) => {
    const url = URL.parse(text);
    return url === null || (url.username === "" && url.password === "");
  },
  { error: "an address has no user and password in it: they are not sent; use apiKey or headers" },
);
