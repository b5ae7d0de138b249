import manifest from "../package.json" with { type: "json" };

/** Of this gateway; every answer carries it as `x-chorale-version`. */
export const { version } = manifest;
