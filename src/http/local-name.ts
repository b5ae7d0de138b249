import { isIP } from "node:net";

/** Ends of names that no public server has. */
const ours = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];

/**
 * Whether a `Host` header names a machine of this network. A page in a browser can let its own public name lead to this machine, and then asks
 * as if from its own origin: without keys that would spend what the providers' keys pay.
 */
export function isLocalName(host: string): boolean {
  const name = host
    .replace(/:\d*$/, "")
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  return isIP(name) !== 0 || !name.includes(".") || ours.some((end) => name.endsWith(end));
}
