import { fail, isGiven, isObject, optionalText, whyNoText, type Json } from "./fail.ts";

function requireName(value: unknown, param: string): void {
  if (typeof value !== "string" || value === "") fail(param, whyNoText(value));
}

function checkFunction(fn: unknown, at: string): void {
  const { name, description, parameters, strict } = isObject(fn) ? fn : {};
  requireName(name, `${at}.name`);
  optionalText(description, `${at}.description`);
  if (isGiven(parameters) && !isObject(parameters)) fail(`${at}.parameters`, "expected an object");
  if (isGiven(strict) && typeof strict !== "boolean") fail(`${at}.strict`, "expected a boolean");
}

function checkTool(tool: unknown, at: string): void {
  const { type, function: fn, custom } = isObject(tool) ? tool : {};
  if (typeof type !== "string") fail(`${at}.type`, "expected a string");
  if (type === "function") checkFunction(fn, `${at}.function`);
  if (type === "custom" && isGiven(custom)) requireName(isObject(custom) ? custom["name"] : undefined, `${at}.custom.name`);
}

function checkAllowed(allowed: unknown): void {
  const { mode, tools } = isObject(allowed) ? allowed : {};
  if (mode !== "auto" && mode !== "required") fail("tool_choice.allowed_tools.mode", "expected one of auto, required");
  if (!Array.isArray(tools) || !tools.every(isObject)) fail("tool_choice.allowed_tools.tools", "expected an array of tools");
}

function checkChoice(choice: unknown): void {
  if (!isGiven(choice) || choice === "none" || choice === "auto" || choice === "required") return;
  if (!isObject(choice) || typeof choice["type"] !== "string")
    fail("tool_choice", "expected none, auto, required or an object with a type");
  const { type, function: fn, custom, allowed_tools: allowed } = choice;
  if (type === "function") requireName(isObject(fn) ? fn["name"] : undefined, "tool_choice.function.name");
  if (type === "custom") requireName(isObject(custom) ? custom["name"] : undefined, "tool_choice.custom.name");
  if (type === "allowed_tools") checkAllowed(allowed);
}

/** The deprecated forms. */
function checkFunctions({ functions, function_call: choice }: Json): void {
  if (isGiven(functions)) {
    if (!Array.isArray(functions)) fail("functions", "expected an array");
    if (functions.length > 128) fail("functions", "expected at most 128 functions");
    for (const [index, fn] of functions.entries()) checkFunction(fn, `functions[${index}]`);
  }
  if (!isGiven(choice) || choice === "none" || choice === "auto") return;
  requireName(isObject(choice) ? choice["name"] : undefined, "function_call.name");
}

/** Checks tools and the choice among them, the deprecated functions too. Tools of a type that is not OpenAI's travel. */
export function checkTools(body: Json): void {
  const { tools } = body;
  if (isGiven(tools)) {
    if (!Array.isArray(tools)) fail("tools", "expected an array");
    if (tools.length > 128) fail("tools", "expected at most 128 tools");
    for (const [index, tool] of tools.entries()) checkTool(tool, `tools[${index}]`);
  }
  checkChoice(body["tool_choice"]);
  checkFunctions(body);
}
