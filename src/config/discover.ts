import type { Env } from "./interpolate.ts";

/** Asks a server which models it has; undefined when none answers in time, or when it is a Chorale gateway itself. */
export type Probe = (url: string) => Promise<readonly string[] | undefined>;

interface Cloud {
  readonly provider: string;
  readonly variable: string;
  /** Of servers of the OpenAI API; the others have a provider of their own, of the same name. */
  readonly baseUrl?: string;
  /** A small, cheap, widely available chat model, for the ready panels. */
  readonly model: string;
}

/** The provider's name is that of its dialect, or of its kind. */
const clouds: readonly Cloud[] = [
  {
    provider: "openai",
    variable: "OPENAI_API_KEY",
    baseUrl: "https://api.openai.com/v1",
    model: "gpt-5-mini",
  },
  {
    provider: "openrouter",
    variable: "OPENROUTER_API_KEY",
    baseUrl: "https://openrouter.ai/api/v1",
    model: "google/gemini-2.5-flash",
  },
  {
    provider: "deepseek",
    variable: "DEEPSEEK_API_KEY",
    baseUrl: "https://api.deepseek.com/v1",
    model: "deepseek-chat",
  },
  {
    provider: "mistral",
    variable: "MISTRAL_API_KEY",
    baseUrl: "https://api.mistral.ai/v1",
    model: "mistral-small-latest",
  },
  {
    provider: "groq",
    variable: "GROQ_API_KEY",
    baseUrl: "https://api.groq.com/openai/v1",
    model: "llama-3.3-70b-versatile",
  },
  {
    provider: "together",
    variable: "TOGETHER_API_KEY",
    baseUrl: "https://api.together.xyz/v1",
    model: "meta-llama/Llama-3.3-70B-Instruct-Turbo",
  },
  { provider: "anthropic", variable: "ANTHROPIC_API_KEY", model: "claude-haiku-4-5" },
  { provider: "gemini", variable: "GEMINI_API_KEY", model: "gemini-2.5-flash" },
];

interface Local {
  readonly provider: string;
  readonly dialect: string;
  readonly baseUrl: string;
  /** Tells log-probabilities, so that a gate can read them. */
  readonly logprobs: boolean;
}

const locals: readonly Local[] = [
  { provider: "ollama", dialect: "ollama", baseUrl: "http://127.0.0.1:11434/v1", logprobs: false },
  {
    provider: "llamacpp",
    dialect: "llama.cpp",
    baseUrl: "http://127.0.0.1:8080/v1",
    logprobs: true,
  },
  {
    provider: "llamacpp-8081",
    dialect: "llama.cpp",
    baseUrl: "http://127.0.0.1:8081/v1",
    logprobs: true,
  },
  { provider: "vllm", dialect: "vllm", baseUrl: "http://127.0.0.1:8000/v1", logprobs: true },
];

/** Names of models that are no chat models. */
const otherUse = /embed|bge-|rerank|whisper|tts|moderation|clip/i;

/** Members of the ready panels: more make them dear and slow. */
const PANEL = 3;

/** A model that a ready panel may use. */
interface Ready {
  readonly name: string;
  readonly logprobs: boolean;
}

interface Offer {
  readonly name: string;
  readonly entry: Readonly<Record<string, unknown>>;
  readonly ready: readonly Ready[];
}

function cloudOffers(env: Env): readonly Offer[] {
  return clouds
    .filter(({ variable }) => env[variable])
    .map(({ provider, variable, baseUrl, model }) => ({
      name: provider,
      entry: {
        ...(baseUrl === undefined ? { kind: provider } : { kind: "openai", dialect: provider, baseUrl }),
        apiKey: `\${${variable}}`,
        models: "*",
      },
      ready: [{ name: `${provider}/${model}`, logprobs: false }],
    }));
}

async function localOffers(probe: Probe): Promise<readonly Offer[]> {
  const offers = await Promise.all(
    locals.map(async ({ provider, dialect, baseUrl, logprobs }): Promise<Offer | undefined> => {
      const models = await probe(`${baseUrl}/models`);
      if (!models || models.length === 0) return undefined;
      const ready = models.filter((model) => !otherUse.test(model)).map((model) => ({ name: `${provider}/${model}`, logprobs }));
      return { name: provider, entry: { kind: "openai", dialect, baseUrl, models }, ready };
    }),
  );
  return offers.filter((offer) => offer !== undefined);
}

/** The first model of each provider, then the second of each, and so on: a panel of different houses errs less alike. */
function panelOf(offers: readonly Offer[]): readonly Ready[] {
  const longest = Math.max(...offers.map(({ ready }) => ready.length));
  const rounds = Array.from({ length: longest }, (_, round) => offers.map(({ ready }) => ready[round]));
  return rounds
    .flat()
    .filter((ready) => ready !== undefined)
    .slice(0, PANEL);
}

const GATE = { by: "prefixLogprob", tokens: 32, min: -0.35 };

/** Virtual models over a panel: only those that mean something with what there is. */
function virtualModels(panel: readonly Ready[]): Readonly<Record<string, unknown>> {
  const [first] = panel;
  if (!first) return {};
  const members = panel.map(({ name }) => name);
  const gated = panel.find(({ logprobs }) => logprobs);
  const vote = {
    kind: "vote",
    answer: "auto",
    ...(members.length > 1 ? { members } : { model: first.name, samples: PANEL }),
  };
  const fuse = members.length > 1 ? { "chorale-fuse": { kind: "fuse", members, writer: first.name } } : {};
  const steps = gated
    ? [{ model: gated.name, accept: GATE }, { model: "chorale-vote" }]
    : [{ model: "chorale-vote", accept: { by: "agreement", min: 0.6 } }, { model: "chorale-fuse" }];
  const cascade = gated || members.length > 1 ? { "chorale-cascade": { kind: "cascade", steps } } : {};
  return { "chorale-vote": vote, ...fuse, ...cascade };
}

const demoMembers = ["demo/alto", "demo/tenor", "demo/bass"];

/** Simulated models, so that the first minutes need no key. */
const demo = {
  providers: { demo: { kind: "demo" } },
  models: {
    demo: "demo-cascade",
    "demo-vote": { kind: "vote", members: demoMembers, answer: "auto" },
    "demo-fuse": { kind: "fuse", members: demoMembers, writer: "demo/alto" },
    "demo-cascade": {
      kind: "cascade",
      steps: [{ model: "demo/bass", accept: GATE }, { model: "demo-vote" }],
    },
  },
};

/**
 * The config of a gateway that was started without one: every provider whose key is in the environment and every server on a usual local port,
 * with ready virtual models over them; with none of them the demo. Nothing is kept on disk.
 */
export async function discover(env: Env, probe: Probe): Promise<Readonly<Record<string, unknown>>> {
  const offers = [...cloudOffers(env), ...(await localOffers(probe))];
  const store = { kind: "memory" };
  if (offers.length === 0) return { store, ...demo };
  return {
    store,
    providers: Object.fromEntries(offers.map(({ name, entry }) => [name, entry])),
    models: virtualModels(panelOf(offers)),
  };
}
