import { readJson, refuseDuplicate } from "./chat.ts";
import type { Dialect } from "./dialect.ts";
import { sendError } from "./errors.ts";
import { checkBody, fail, isObject, isPresent, unwritten } from "./openai/passage-body.ts";
import { passedPieces } from "./openai/passed.ts";
import { wholeOnly } from "./passage-dialect.ts";
import { badAnswer, exposed, noEndpoint, passThrough } from "./passage.ts";

/** What the OpenAI API takes where a request names no model. */
const USUAL_MODEL = "omni-moderation-latest";

function checkInput(input: unknown): void {
  if (!isPresent(input)) fail("input", "it is required");
  if (typeof input === "string") return;
  if (!Array.isArray(input) || input.length === 0) fail("input", "expected a string or an array of strings or parts");
  const wrong = input.findIndex((item) => typeof item !== "string" && !(isObject(item) && typeof item["type"] === "string"));
  if (wrong >= 0) fail(`input[${wrong}]`, "expected a string or a part with a type");
}

/** `POST /v1/moderations`, through to a server that has it: a verdict is that server's own, and nobody else gives one. */
export const moderationsDialect: Dialect = wholeOnly({
  idPrefix: "modr-",
  read(bytes) {
    const { body: parsed, source } = readJson(bytes);
    const named = isObject(parsed) && !isPresent(parsed["model"]) ? { ...parsed, model: USUAL_MODEL } : parsed;
    const body = checkBody(named, []);
    checkInput(body["input"]);
    refuseDuplicate(source);
    return { request: unwritten(body, source) };
  },
  async answer(asked, call) {
    const found = await passThrough("moderations", asked, call);
    if (!found) throw noEndpoint(asked.entry, "/v1/moderations");
    if (!Array.isArray(found.answer["results"])) throw badAnswer(asked.entry.name, "no results");
    return passedPieces(found, call.identity.model, exposed(asked, call));
  },
  fail: sendError,
});
