import { change } from "../../model/request.ts";
import { labelAt } from "../../panel/candidates.ts";
import { ask } from "../../panel/judging/judge.ts";
import { failedDecision } from "../../panel/route/memory.ts";
import { oneOf } from "../../panel/judging/verdict.ts";
import type { BuildSite } from "../define.ts";
import { buildRole, promptOf } from "../members.ts";
import type { Decide, PromptOptions } from "./route-options.ts";

/** A model picks by descriptions: a letter under a schema. It sees the conversation as far as it decides, and no names. */
export function decideByPrompt(own: PromptOptions, site: BuildSite): Decide {
  const router = buildRole(own.router, "router", site);
  const prompt = promptOf(site, "route", ["models"], ["form"]);
  const labels = own.members.map((_, index) => labelAt(index));
  const form = oneOf(labels, "model");
  const models = own.members.map(({ description }, index) => `${labelAt(index)}: ${description}`).join("\n");
  const text = prompt({ models, form: form.shape });
  return async ({ request, view, call }, signal) => {
    const seen = view.messages.length === request.body.messages.length ? request : change(request, { messages: view.messages });
    const reply = await ask({ label: "router", judge: router, text, form }, seen, call, { signal });
    return reply.ok ? { choice: labels.indexOf(reply.value), told: { label: reply.value } } : failedDecision(`router: ${reply.why}`);
  };
}
