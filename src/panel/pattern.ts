/** Whether a text is a regular expression: asked at boot, so that no request meets a broken one. */
export function isPattern(text: string): boolean {
  try {
    return Boolean(new RegExp(text));
  } catch {
    return false;
  }
}
