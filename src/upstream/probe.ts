const WAIT_MS = 200;
const MAX_LIST = 1024 * 1024;

function idsOf(body: unknown): readonly string[] | undefined {
  const data = (body as { readonly data?: unknown } | null)?.data;
  if (!Array.isArray(data)) return undefined;
  return data.map((item) => (item as { readonly id?: unknown } | null)?.id).filter((id): id is string => typeof id === "string");
}

/**
 * Asks a local server which models it has, once, for 200 ms. Undefined when nobody answers, when it is no such server, or when it is a Chorale
 * gateway: that one would be asked to answer for itself.
 */
export async function probeModels(url: string): Promise<readonly string[] | undefined> {
  try {
    // Only a gateway without a config asks.
    const { request } = await import("undici");
    const signal = AbortSignal.timeout(WAIT_MS);
    const { statusCode, headers, body } = await request(url, { signal, headers: { accept: "application/json" } });
    const text = await body.text();
    if (statusCode !== 200 || headers["x-chorale-version"] !== undefined || text.length > MAX_LIST) return undefined;
    return idsOf(JSON.parse(text));
  } catch {
    // Nobody there, too slow, or something else: all mean that there is nothing to use.
    return undefined;
  }
}
