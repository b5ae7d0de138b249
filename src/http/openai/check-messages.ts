import { fail, isGiven, isObject, optionalText, requireText, type Json } from "./fail.ts";

const roles = new Set<unknown>(["developer", "system", "user", "assistant", "tool", "function"]);
const mediaParts = new Set<unknown>(["image_url", "input_audio", "file"]);

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

function checkContent(content: unknown, role: unknown, at: string): void {
  if (typeof content === "string") return;
  if (!Array.isArray(content)) fail(`${at}.content`, "expected a string or an array of parts");
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

function checkAssistant(message: Json, at: string): readonly string[] {
  const { content, refusal, audio, function_call: legacy, tool_calls: calls } = message;
  if (isGiven(content)) checkContent(content, "assistant", at);
  optionalText(refusal, `${at}.refusal`);
  if (isGiven(audio)) requireText(isObject(audio) ? audio["id"] : undefined, `${at}.audio.id`);
  if (isGiven(legacy)) checkFunctionCall(legacy, `${at}.function_call`);
  if (!isGiven(calls)) return [];
  if (!Array.isArray(calls)) fail(`${at}.tool_calls`, "expected an array");
  return calls.map((call, index) => checkCall(call, `${at}.tool_calls[${index}]`));
}

/** Checks roles, contents, calls, and that every call has an answer before the conversation goes on. */
export function checkMessages(messages: unknown): void {
  if (!isGiven(messages)) fail("messages", "it is required");
  if (!Array.isArray(messages)) fail("messages", "expected an array");
  if (messages.length === 0) fail("messages", "expected at least one message");
  let open = new Set<string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) fail(at, "expected an object");
    const { role, name, content } = message;
    if (!roles.has(role)) fail(`${at}.role`, "expected one of developer, system, user, assistant, tool, function");
    if (isGiven(name) || role === "function") requireText(name, `${at}.name`);
    if (role === "tool") {
      const id = message["tool_call_id"];
      if (typeof id !== "string") fail(`${at}.tool_call_id`, "it is required in a tool message");
      if (!open.delete(id)) fail(`${at}.tool_call_id`, "no assistant message before it has a tool call with this id");
      checkContent(content, role, at);
      continue;
    }
    if (open.size > 0) fail(at, `the tool calls before it have no answer: ${[...open].join(", ")}`);
    if (role === "assistant") open = new Set(checkAssistant(message, at));
    else if (role === "function") optionalText(content, `${at}.content`);
    else checkContent(content, role, at);
  }
  if (open.size > 0) fail(`messages[${messages.length - 1}]`, `its tool calls have no answer: ${[...open].join(", ")}`);
}
