/** What a `data:` URL carries, in base64. */
export interface DataUrl {
  /** Lower case, without parameters; empty when the URL names none. */
  readonly mediaType: string;
  readonly base64: string;
}

const shape = /^data:([^;,]*)((?:;[^;,]*)*),/i;

/** Reads a `data:` URL; undefined for any other text. Media types that are written in two ways become the registered one. */
export function readDataUrl(url: string): DataUrl | undefined {
  const found = shape.exec(url);
  if (!found) return undefined;
  const [head, type = "", parameters = ""] = found;
  const rest = url.slice(head.length);
  const named = type.toLowerCase();
  const mediaType = named === "image/jpg" ? "image/jpeg" : named;
  if (/;base64$/i.test(parameters)) return { mediaType, base64: rest };
  try {
    return { mediaType, base64: Buffer.from(decodeURIComponent(rest), "utf8").toString("base64") };
  } catch {
    // Escapes that are none: no URL.
    return undefined;
  }
}
