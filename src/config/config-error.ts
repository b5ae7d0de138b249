/** One thing wrong in a config, and where. */
export interface Problem {
  /** Place in the config, such as `models.exam.members[1].quorum.min`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** Line in the file, from 1, where there is a file. */
  readonly line?: number;
}

function toLine({ path, message, line }: Problem): string {
  const place = [line === undefined ? "" : `line ${line}`, path].filter((part) => part !== "");
  return place.length === 0 ? message : `${place.join(", ")}: ${message}`;
}

/** A config that can not be used. `message` is written for the operator, one line per problem, and holds no secret. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  readonly file: string | undefined;

  constructor(found: readonly Problem[], file?: string) {
    const problems = found.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const where = file ?? "the config";
    const [first] = problems;
    super(
      problems.length === 1 && first
        ? `${where}: ${toLine(first)}`
        : `${where}: ${problems.length} problems\n${problems.map((problem) => `  ${toLine(problem)}`).join("\n")}`,
    );
    this.name = "ConfigError";
    this.problems = problems;
    this.file = file;
  }
}
