/** What the operator typed is wrong; the message says how. */
export class UsageError extends Error {}
