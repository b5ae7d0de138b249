import { fail, isGiven, isObject, optionalText, requireText, type Json } from "./fail.ts";

const roles = new Set<unknown>(["developer", "system", "user", "assistant", "tool", "function"]);
const mediaParts = new Set<unknown>(["image_url", "input_audio", "file"]);

const none: readonly string[] = [];

/** The name of a message in an error. */
function placeOf(index: number): string {
  return `messages[${index}]`;
}

/** What a part of a type has to bring; types that are not here travel unchecked. */
const parts = new Map<unknown, (part: Json, at: string) => void>([
  ["text", ({ text }, at) => requireText(text, `${at}.text`)],
  ["refusal", ({ refusal }, at) => requireText(refusal, `${at}.refusal`)],
  [
    "image_url",
    ({ image_url: image }, at) => {
      // Some clients send the address alone, and many servers take it.
      if (typeof image !== "string") requireText(isObject(image) ? image["url"] : undefined, `${at}.image_url.url`);
    },
  ],
  [
    "input_audio",
    ({ input_audio: audio }, at) => {
      for (const field of ["data", "format"]) requireText(isObject(audio) ? audio[field] : undefined, `${at}.input_audio.${field}`);
    },
  ],
  [
    "file",
    ({ file }, at) => {
      if (!isObject(file)) fail(`${at}.file`, "expected an object");
      for (const field of ["file_id", "file_data", "filename"]) optionalText(file[field], `${at}.file.${field}`);
    },
  ],
]);

function checkParts(content: readonly unknown[], role: unknown, at: string): void {
  if (content.length === 0) fail(`${at}.content`, "expected at least one part");
  for (const [index, part] of content.entries()) {
    const type = isObject(part) ? part["type"] : undefined;
    if (typeof type !== "string") fail(`${at}.content[${index}]`, "expected a part with a type");
    if (role !== "user" && role !== "tool" && mediaParts.has(type)) {
      fail(`${at}.content[${index}].type`, `a ${String(role)} message can not have a part of type ${type}`);
    }
    parts.get(type)?.(part as Json, `${at}.content[${index}]`);
  }
}

function checkContent(content: unknown, role: unknown, index: number): void {
  if (typeof content === "string") return;
  if (!Array.isArray(content)) fail(`${placeOf(index)}.content`, "expected a string or an array of parts");
  checkParts(content, role, placeOf(index));
}

function checkFunctionCall(fn: unknown, at: string): void {
  if (!isObject(fn)) fail(at, "expected an object");
  requireText(fn["name"], `${at}.name`);
  requireText(fn["arguments"], `${at}.arguments`);
}

/** Checks one call and returns its id. */
function checkCall(call: unknown, at: string): string {
  const { id, type, function: fn, custom } = isObject(call) ? call : {};
  if (typeof id !== "string") fail(`${at}.id`, "expected a string");
  // Clients of some servers leave out the type.
  if (isGiven(fn) || type === "function") checkFunctionCall(fn, `${at}.function`);
  if (type !== "custom") return id;
  if (!isObject(custom)) fail(`${at}.custom`, "expected an object");
  requireText(custom["name"], `${at}.custom.name`);
  requireText(custom["input"], `${at}.custom.input`);
  return id;
}

/** Checks an answer of the model and returns the ids of its calls. */
function checkAssistant(message: Json, index: number): readonly string[] {
  const { content, refusal, audio, function_call: legacy, tool_calls: calls } = message;
  if (isGiven(content)) checkContent(content, "assistant", index);
  if (typeof content === "string" && !isGiven(refusal) && !isGiven(audio) && !isGiven(legacy) && !isGiven(calls)) return none;
  const at = placeOf(index);
  optionalText(refusal, `${at}.refusal`);
  if (isGiven(audio)) requireText(isObject(audio) ? audio["id"] : undefined, `${at}.audio.id`);
  if (isGiven(legacy)) checkFunctionCall(legacy, `${at}.function_call`);
  if (!isGiven(calls)) return none;
  if (!Array.isArray(calls)) fail(`${at}.tool_calls`, "expected an array");
  return calls.map((call, position) => checkCall(call, `${at}.tool_calls[${position}]`));
}

/** Checks that a tool's message answers a call that is open. */
function checkAnswer({ tool_call_id: id }: Json, open: Set<string> | undefined, index: number): void {
  if (typeof id !== "string") fail(`${placeOf(index)}.tool_call_id`, "it is required in a tool message");
  if (!open?.delete(id)) fail(`${placeOf(index)}.tool_call_id`, "no assistant message before it has a tool call with this id");
}

/** Checks roles, contents, calls, and that every call has an answer before the conversation goes on. Most messages are plain: their place is written where one fails. */
export function checkMessages(messages: unknown): void {
  if (!isGiven(messages)) fail("messages", "it is required");
  if (!Array.isArray(messages)) fail("messages", "expected an array");
  if (messages.length === 0) fail("messages", "expected at least one message");
  let open: Set<string> | undefined;
  for (let index = 0; index < messages.length; index += 1) {
    const message: unknown = messages[index];
    if (!isObject(message)) fail(placeOf(index), "expected an object");
    const { role, name, content } = message;
    if (!roles.has(role)) fail(`${placeOf(index)}.role`, "expected one of developer, system, user, assistant, tool, function");
    if (isGiven(name) || role === "function") requireText(name, `${placeOf(index)}.name`);
    if (role === "tool") {
      checkAnswer(message, open, index);
      checkContent(content, role, index);
      continue;
    }
    if (open && open.size > 0) fail(placeOf(index), `the tool calls before it have no answer: ${[...open].join(", ")}`);
    if (role === "assistant") {
      const calls = checkAssistant(message, index);
      open = calls.length > 0 ? new Set(calls) : undefined;
    } else if (role === "function") optionalText(content, `${placeOf(index)}.content`);
    else checkContent(content, role, index);
  }
  if (open && open.size > 0) fail(placeOf(messages.length - 1), `its tool calls have no answer: ${[...open].join(", ")}`);
}
