/** What a client was told, in a form in which two runs can be compared. */

type Fields = Readonly<Record<string, unknown>>;

/** Fields that are another's in each run. */
const fleeting = /^(?:id|requestId|created|ms|\w+Ms)$/;

/** JSON without what is another's in each run. */
function lasting(value: unknown = null): unknown {
  return JSON.parse(JSON.stringify(value, (key, inner: unknown) => (fleeting.test(key) ? undefined : inner))) as unknown;
}

/** A streamed answer as one object: where it was cut into chunks depends on the sockets. */
function joined(text: string): unknown {
  const frames = text.split("\n\n").filter((frame) => frame.startsWith("data: {"));
  const chunks = frames.map((frame) => JSON.parse(frame.slice(6)) as Fields);
  const deltas = chunks.flatMap(({ choices }) => (choices ?? []) as readonly { readonly delta: Fields; readonly finish_reason: unknown }[]);
  return {
    content: deltas.map(({ delta }) => (delta["content"] as string | null | undefined) ?? "").join(""),
    finishes: deltas.flatMap(({ finish_reason: reason }) => reason ?? []),
    usage: chunks.findLast(({ usage }) => usage)?.["usage"],
    chorale: lasting(chunks.findLast(({ chorale }) => chorale)?.["chorale"]),
    errors: chunks.flatMap(({ error }) => error ?? []),
    comments: text.match(/^: chorale .*$/gm),
    isDone: text.trimEnd().endsWith("data: [DONE]"),
  };
}

/** The body of a response, whole or streamed, with its status. */
export async function toldBy(response: Response): Promise<{ readonly status: number; readonly body: unknown }> {
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  return { status: response.status, body: isStream ? joined(text) : lasting(JSON.parse(text)) };
}
