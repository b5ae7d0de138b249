import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { watchConfig } from "../../src/config/reload.ts";

/** Watches a file in a folder of its own and counts the changes. */
function watched(name = "chorale.yaml") {
  const folder = mkdtempSync(join(tmpdir(), "chorale-reload-"));
  const path = join(folder, name);
  const seen = { changes: 0 };
  return {
    folder,
    path,
    seen,
    start: () => {
      const watch = watchConfig(path, () => (seen.changes += 1), 10);
      onTestFinished(() => {
        watch.close();
        rmSync(folder, { recursive: true });
      });
      return watch;
    },
  };
}

test("a written file is a change", async () => {
  const { path, seen, start } = watched();
  writeFileSync(path, "one");
  start();
  await expect.poll(() => (writeFileSync(path, `two ${performance.now()}`), seen.changes)).toBeGreaterThan(0);
});

test("a file that an editor put in the place of the old one is a change", async () => {
  const { folder, path, seen, start } = watched();
  writeFileSync(path, "one");
  start();
  await expect
    .poll(() => {
      writeFileSync(join(folder, "new"), "two");
      renameSync(join(folder, "new"), path);
      return seen.changes;
    })
    .toBeGreaterThan(0);
});

test("a swapped symlink is a change, as Kubernetes renews a mounted file", async () => {
  const { folder, path, seen, start } = watched();
  for (const name of ["a", "b"]) writeFileSync(join(folder, name), "same text");
  symlinkSync("a", path);
  start();
  let to = "b";
  await expect
    .poll(() => {
      symlinkSync(to, join(folder, "link"));
      renameSync(join(folder, "link"), path);
      to = to === "a" ? "b" : "a";
      return seen.changes;
    })
    .toBeGreaterThan(0);
});

test("a file that is gone is no change", async () => {
  const { path, seen, start } = watched();
  writeFileSync(path, "one");
  start();
  unlinkSync(path);
  const other = watched("other");
  writeFileSync(other.path, "one");
  other.start();
  // The other file's change comes through, so the watcher has looked at this one too.
  await expect.poll(() => (writeFileSync(other.path, `two ${performance.now()}`), other.seen.changes)).toBeGreaterThan(3);
  expect(seen.changes).toBe(0);
});

test("nothing is told after close", async () => {
  const closed = watched();
  writeFileSync(closed.path, "one");
  closed.start().close();
  const other = watched("other");
  writeFileSync(other.path, "one");
  other.start();
  await expect
    .poll(() => {
      for (const path of [closed.path, other.path]) writeFileSync(path, `two ${performance.now()}`);
      return other.seen.changes;
    })
    .toBeGreaterThan(0);
  expect(closed.seen.changes).toBe(0);
});

test("what was read already is no change, what comes after it is", async () => {
  const { path, seen, start } = watched();
  writeFileSync(path, "one");
  const watch = start();
  let told = 0;
  const other = watchConfig(path, () => (told += 1), 10);
  onTestFinished(() => other.close());
  // The first look at the file has to come before the change.
  await expect.poll(() => (writeFileSync(path, `two ${performance.now()}`), told)).toBeGreaterThan(0);
  const [before, toldBefore] = [seen.changes, told];
  writeFileSync(path, "three");
  watch.seen();
  await expect.poll(() => told).toBeGreaterThan(toldBefore);
  expect(seen.changes).toBe(before);
  await expect.poll(() => (writeFileSync(path, `four ${performance.now()}`), seen.changes)).toBeGreaterThan(before);
});
