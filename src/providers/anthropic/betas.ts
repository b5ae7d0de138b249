const NAME = "anthropic-beta";
/** Names of betas with commas between them. */
const legal = /^[\w.-]+(?: *, *[\w.-]+)*$/;

/** The flat headers with the betas that the client asks for, beside those that are there: fields of a beta are refused without its name. */
export function withBetas(headers: readonly string[], asked: string | undefined): readonly string[] {
  if (asked === undefined || asked.length > 2000 || !legal.test(asked)) return headers;
  const at = headers.findIndex((text, index) => index % 2 === 0 && text === NAME);
  if (at < 0) return [...headers, NAME, asked];
  const all = new Set(`${headers[at + 1] ?? ""},${asked}`.split(",").map((name) => name.trim()));
  return headers.with(at + 1, [...all].filter((name) => name !== "").join(","));
}
