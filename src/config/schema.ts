import * as z from "zod";
import type { Provider } from "../providers/define.ts";
import { providers } from "../providers/registry.ts";
import type { Strategy } from "../strategies/define.ts";
import { strategies } from "../strategies/registry.ts";
import { configSchema } from "./config.ts";
import { nodeCommon, providerCommon } from "./nodes.ts";

/** The parts of a JSON Schema that are read or written here. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema | readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
  readonly $ref?: string;
  readonly [keyword: string]: unknown;
}

/** The kinds that exist. */
export interface Registries {
  readonly strategies: ReadonlyMap<string, Strategy>;
  readonly providers: ReadonlyMap<string, Provider>;
}

export const registries: Registries = { strategies, providers };

/** One zod schema as JSON Schema, with what it calls by name apart. */
export function toJsonSchema(schema: z.ZodType): {
  readonly body: JsonSchema;
  readonly definitions: Readonly<Record<string, JsonSchema>>;
} {
  const whole = z.toJSONSchema(schema, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
  }) as JsonSchema;
  const { $schema: _, definitions = {}, ...body } = whole;
  return { body, definitions };
}

interface Extra {
  readonly kind: string;
  readonly summary: string;
  readonly common: JsonSchema;
}

/** The options of a kind, with the kind itself and the common keys in front. Options may be a union of maps. */
function withKind(options: JsonSchema, extra: Extra): JsonSchema {
  const each = (branches: readonly JsonSchema[] | undefined) => branches?.map((branch) => withKind(branch, extra));
  const { anyOf, oneOf } = options;
  if (anyOf || oneOf)
    return {
      ...options,
      ...(anyOf ? { anyOf: each(anyOf) ?? [] } : {}),
      ...(oneOf ? { oneOf: each(oneOf) ?? [] } : {}),
    };
  return {
    ...options,
    description: extra.summary,
    properties: { kind: { const: extra.kind }, ...options.properties, ...extra.common.properties },
    required: ["kind", ...(options.required ?? [])],
  };
}

function reference(name: string): JsonSchema {
  return { $ref: `#/definitions/${name}` };
}

/** Collects definitions while the parts are written. */
class Assembly {
  readonly definitions: Record<string, JsonSchema> = {};

  add(schema: z.ZodType): JsonSchema {
    const { body, definitions } = toJsonSchema(schema);
    Object.assign(this.definitions, definitions);
    return body;
  }

  kinds(prefix: string, kinds: ReadonlyMap<string, Strategy | Provider>, common: JsonSchema): readonly JsonSchema[] {
    return [...kinds.values()].map(({ kind, summary, options }) => {
      const name = `${prefix}-${kind}`;
      this.definitions[name] = withKind(this.add(options), { kind, summary, common });
      return reference(name);
    });
  }
}

/** `retry` of a provider is a `retry` node without its child. */
function withRetry(common: JsonSchema, retry: JsonSchema | undefined): JsonSchema {
  if (!retry) return common;
  const { model: _, ...properties } = retry.properties ?? {};
  const own = common.properties?.["retry"] ?? {};
  return {
    ...common,
    properties: {
      ...common.properties,
      retry: {
        ...own,
        properties: { ...properties, ...own.properties },
        additionalProperties: false,
      },
    },
  };
}

function mapped(schemas: Readonly<Record<string, JsonSchema>>): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, withVariables(schema)]));
}

/** Says more than "some text": an editor would refuse `${NAME}` there. */
function isParticular({ type, enum: values, format, pattern, minLength = 0 }: JsonSchema): boolean {
  if (type !== "string") return type === "number" || type === "integer" || type === "boolean";
  return values !== undefined || format !== undefined || pattern !== undefined || Number(minLength) > 1;
}

/** The schema with `${NAME}` legal wherever one value stands. */
function withVariables(schema: JsonSchema): JsonSchema {
  const { properties, additionalProperties, items, anyOf, oneOf, allOf, definitions, ...rest } = schema;
  if (isParticular(schema)) {
    const { description, default: usual, ...value } = rest;
    return {
      ...(description === undefined ? {} : { description }),
      ...(usual === undefined ? {} : { default: usual }),
      anyOf: [value, reference("variable")],
    };
  }
  return {
    ...rest,
    ...(properties && { properties: mapped(properties) }),
    ...(additionalProperties !== undefined && {
      additionalProperties: typeof additionalProperties === "object" ? withVariables(additionalProperties) : additionalProperties,
    }),
    ...(items && {
      items: Array.isArray(items) ? items.map(withVariables) : withVariables(items as JsonSchema),
    }),
    ...(anyOf && { anyOf: anyOf.map(withVariables) }),
    ...(oneOf && { oneOf: oneOf.map(withVariables) }),
    ...(allOf && { allOf: allOf.map(withVariables) }),
    ...(definitions && { definitions: mapped(definitions) }),
  };
}

const variable: JsonSchema = {
  type: "string",
  pattern: "\\$\\{.+\\}",
  description: "`${NAME}` or `${NAME:-default}`, from the environment.",
};

/** The whole config file as JSON Schema (draft 7, as editors know it), assembled from the registries. */
export function configJsonSchema(kinds: Registries = registries): JsonSchema {
  const assembly = new Assembly();
  const root = assembly.add(configSchema);
  const retry = kinds.strategies.get("retry");
  const providerKeys = withRetry(assembly.add(providerCommon), retry && assembly.add(retry.options));
  const providerKinds = assembly.kinds("provider", kinds.providers, providerKeys);
  const nodeKinds = assembly.kinds("node", kinds.strategies, assembly.add(nodeCommon));
  const node: JsonSchema = {
    anyOf: [{ type: "string", minLength: 1, description: "The name of a model." }, ...nodeKinds],
  };
  const { providers, ...properties } = root.properties ?? {};
  const whole = withVariables({
    ...root,
    properties: {
      ...properties,
      providers: { ...providers, additionalProperties: { anyOf: providerKinds } },
    },
    definitions: { ...assembly.definitions, node },
  });
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Chorale config",
    ...whole,
    definitions: { ...whole.definitions, variable },
  };
}
