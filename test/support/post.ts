import type { Gateway } from "./gateway.ts";

/** Posts JSON, or a text as it is, to any path of a gateway with the client's key. */
export function post(gateway: Gateway, path: string, body: object | string, init: RequestInit = {}): Promise<Response> {
  return gateway.get(path, {
    method: "POST",
    ...init,
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", ...(init.headers as Record<string, string> | undefined) },
  });
}
