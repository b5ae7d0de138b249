import { AwsV4Signer } from "aws4fetch";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SignOptions {
  readonly credentials: Credentials;
  readonly region: string;
  readonly origin: string;
  /** Headers that are signed too. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Keys derived for a day, shared by all providers: an uncached signature takes some milliseconds. Each day has keys of its own. */
const derived = new Map<string, ArrayBuffer>();
const MOST_DERIVED = 64;

/** `20261123T091336Z`. */
function stamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/[:-]|\.\d{3}/g, "");
}

/** The headers that sign a POST, flat (Signature Version 4). */
export async function signatureHeaders(
  path: string,
  body: Buffer,
  wallMs: number,
  { credentials, region, origin, headers }: SignOptions,
): Promise<readonly string[]> {
  if (derived.size > MOST_DERIVED) derived.clear();
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const signer = new AwsV4Signer({
    method: "POST",
    url: origin + path,
    headers: { ...headers },
    body: new Uint8Array(body),
    service: "bedrock",
    region,
    cache: derived,
    datetime: stamp(wallMs),
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
  });
  const signed = await signer.sign();
  return [...signed.headers].flat();
}
