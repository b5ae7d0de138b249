/** Asks every model of a config through the real gateway, whole and streamed. */
import { expect } from "vitest";
import { startPair } from "../support/gateway.ts";
import { validateStream } from "../support/stream-validator.ts";
import type { OnFinished } from "../support/upstream.ts";
import { namesOf, type Config } from "./blocks.ts";

/** The simulated models as fast as they go: what is looked at are answers, not times. */
const demo = { kind: "demo", firstTokenMs: 1, tokensPerSecond: 0 } as const;

const messages = [{ role: "user", content: "What is 17 * 23? Is that much?" }] as const;

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string | null } }[];
}

function textOf(stream: string): string {
  const datas = stream.split("\n").filter((line) => line.startsWith("data: {"));
  const chunks = datas.map((line) => JSON.parse(line.slice(6)) as Chunk);
  return chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")).join("");
}

interface Told {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly chorale: { readonly members: readonly { readonly label: string; readonly status: string }[] };
}

/** Each answer is checked, and that no call failed on the way to it; returns how many models were asked. */
export async function expectAnswers(config: Config, onFinished: OnFinished): Promise<number> {
  const names = namesOf(config);
  const { gateway } = await startPair({}, { onFinished, config: { models: config["models"], providers: { demo } } });
  for (const model of names) {
    const whole = await gateway.chat({ model, messages, chorale: { expose: "summary" } });
    const body = await whole.text();
    expect(whole.status, `${model}: ${body}`).toBe(200);
    const { choices, chorale } = JSON.parse(body) as Told;
    expect(choices[0]?.message.content, model).toMatch(/\S/);
    expect(
      chorale.members.filter(({ status }) => status === "failed"),
      model,
    ).toEqual([]);
    const streamed = await gateway.chat({ model, messages, stream: true });
    expect(streamed.status, model).toBe(200);
    const text = await streamed.text();
    expect(validateStream(text, { usage: false }), model).toEqual([]);
    expect(textOf(text), model).toMatch(/\S/);
  }
  return names.length;
}
