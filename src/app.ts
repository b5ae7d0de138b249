import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { fastify, type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { GatewayError, toGatewayError } from "./model/errors.ts";
import { logAccess } from "./http/access.ts";
import { ChatRoute, chatDialect } from "./http/chat.ts";
import { completionsDialect } from "./http/completions.ts";
import type { Dialect, Reading } from "./http/dialect.ts";
import { preflightHeaders } from "./http/cors.ts";
import { embeddingsDialect } from "./http/embeddings.ts";
import { sendError } from "./http/errors.ts";
import { isMessagesPath, sendMessagesError } from "./http/anthropic/errors.ts";
import { explainChat } from "./http/explain.ts";
import { findEntered, getEntered, setEntered, type Door, type Served } from "./http/door.ts";
import { errorBody } from "./http/errors.ts";
import { health, ready } from "./http/health.ts";
import { countTokens, messagesDialect } from "./http/messages.ts";
import { getModel, listModels } from "./http/models.ts";
import { moderationsDialect } from "./http/moderations.ts";
import { rerankDialect } from "./http/rerank.ts";
import { readBody, straightLength } from "./http/straight.ts";
import { isLocalName } from "./http/local-name.ts";
import { getRequest } from "./http/requests.ts";
import { newRequestId, requestIdIn } from "./http/request-id.ts";
import { deleteResponse, getResponse, listInputItems, responsesDialect } from "./http/responses.ts";
import { version } from "./version.ts";

export interface ServerOptions {
  readonly bodyLimitMb: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

const MAX_HOPS = 3;
const METHODS = ["GET", "POST", "HEAD", "DELETE"] as const;

/** Paths that anybody may ask: a balancer has no key. */
const open = new Set(["/health", "/ready"]);

function pathOf({ url = "/" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

/** The framework's codes for a path that it can not take: escapes that mean nothing, a part that is too long. */
const addressCodes = new Set(["FST_ERR_BAD_URL", "FST_ERR_MAX_PARAM_LENGTH"]);

/** Whatever went wrong before a route could answer, as one of our errors. */
function doorError(thrown: FastifyError | Error): GatewayError {
  const code = "code" in thrown ? thrown.code : "";
  const status = "statusCode" in thrown ? (thrown.statusCode ?? 500) : 500;
  if (thrown instanceof GatewayError) return thrown;
  if (status === 413) return new GatewayError("payload_too_large", "The request body is larger than this gateway allows.");
  if (status === 415) return new GatewayError("unsupported_media_type", "Send the request as application/json.");
  if (addressCodes.has(code)) return new GatewayError("invalid_request", "The path of this request is not valid.");
  if (status >= 400 && status < 500) return new GatewayError("invalid_request", "The request is not valid.");
  return toGatewayError(thrown);
}

interface Refused {
  readonly raw: IncomingMessage;
  readonly reply: ServerResponse;
  readonly error: GatewayError;
  readonly headers: readonly string[];
}

/** Answers with an error in the shape that this path's clients read, and logs it: nobody else will. */
function refuse(door: Door, { raw, reply, error, headers }: Refused): void {
  const path = pathOf(raw);
  const send = isMessagesPath(path) ? sendMessagesError : sendError;
  send(reply, error, headers);
  const requestId = requestIdIn(headers);
  if (error.code === "internal") {
    const { cause } = error;
    door.log.warn({ requestId, cause: cause instanceof Error ? cause.stack : String(cause) }, "a route failed");
  }
  logAccess(door, raw, { requestId, path, status: error.status, error });
}

/** Who asks, as `authorization` says it; clients of Anthropic's API may send the key alone. */
function authorizationOf({ headers }: IncomingMessage): string | undefined {
  if (headers.authorization !== undefined) return headers.authorization;
  const key = headers["x-api-key"];
  return typeof key === "string" ? `Bearer ${key}` : undefined;
}

function notFound(app: FastifyInstance, raw: IncomingMessage): GatewayError {
  const url = pathOf(raw);
  const allowed = METHODS.filter((method) => app.findRoute({ method, url }) !== null);
  if (allowed.length > 0) return new GatewayError("method_not_allowed", `${raw.method} is not allowed here; use ${allowed.join(" or ")}.`);
  const hint =
    url.includes("/chat/completions/") || url.endsWith("/models/chat/completions")
      ? " The base URL of your client should end with /v1."
      : url.startsWith("/v1/v1/messages")
        ? " The base URL of your client should end without /v1."
        : "";
  return new GatewayError("not_found", `Unknown request URL: ${raw.method} ${url.slice(0, 200)}.${hint}`);
}

const unreadable: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "The request's headers are too large."],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "The request did not arrive in time."],
};

/**
 * Bytes that never became a request, or the rest of one. A socket on which an answer is under way can not carry another; where the request that it
 * would answer is the broken one, there is none yet.
 */
function refuseConnection(error: Error & { readonly code?: string }, socket: Socket & { readonly _httpMessage?: ServerResponse }): void {
  const answer = socket._httpMessage;
  const isFree = !answer || (!answer.headersSent && !answer.req.complete);
  if (!socket.writable || error.code === "ECONNRESET" || !isFree) {
    socket.destroy();
    return;
  }
  const [status, message] = unreadable[error.code ?? ""] ?? ["400 Bad Request", "The request is not valid HTTP."];
  const body = errorBody(new GatewayError("invalid_request", message));
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n` +
      `x-request-id: ${(answer && findEntered(answer.req)?.requestId) ?? newRequestId()}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroySoon(),
  );
}

/** A header of a request, one string; what came twice stands in it twice. */
function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Headers that every answer to a request carries, flat. */
function headersOf({ cors }: Served, raw: IncomingMessage, requestId: string): string[] {
  const headers = ["x-request-id", requestId, "x-chorale-version", version];
  for (const header of cors(raw)) headers.push(header);
  return headers;
}

function checkHost(host = "localhost"): void {
  if (isLocalName(host)) return;
  throw new GatewayError(
    "host_not_allowed",
    `This gateway has no keys, so it answers requests to this machine and none to '${host.slice(0, 200)}'. Configure keys, or server.host.`,
  );
}

/** First of all: identity, CORS, loops, key. A plain callback: an async hook would cost every request a promise. */
function enter(door: Door, raw: IncomingMessage, reply: ServerResponse): boolean {
  const served = door.current();
  const requestId = newRequestId();
  const headers = headersOf(served, raw, requestId);
  if (raw.method === "OPTIONS") {
    reply.writeHead(204, [...headers, ...preflightHeaders(raw)]);
    reply.end();
    return false;
  }
  try {
    if (raw.headers.host === undefined && raw.httpVersion === "1.1")
      throw new GatewayError("invalid_request", "A request over HTTP/1.1 has to have a Host header.");
    if (served.localOnly) checkHost(raw.headers.host);
    const told = raw.headers["x-chorale-hops"];
    const hops = told === undefined ? 0 : Number(told) || 0;
    if (hops > MAX_HOPS)
      throw new GatewayError("loop_detected", `This request has passed ${hops} gateways: one of them is its own upstream.`);
    const isOpen = open.has(pathOf(raw));
    const asker = served.authenticate(isOpen ? undefined : authorizationOf(raw), isOpen);
    const header = (name: string) => headerOf(raw, name);
    setEntered(raw, { requestId, startMs: door.clock.now(), served, asker, headers, hops, header });
    return true;
  } catch (thrown) {
    // The body is not read: a client without a key shall not make us.
    refuse(door, { raw, reply, error: toGatewayError(thrown), headers: [...headers, "connection", "close"] });
    return false;
  }
}

/** Routes in the order in which a request meets them. */
function addRoutes(app: FastifyInstance, door: Door): void {
  /** A route of an inward dialect: it writes to the socket itself, its errors too. */
  const asks = <R extends Reading>(dialect: Dialect<R>) => {
    const route = new ChatRoute(door, dialect);
    return (request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack();
      void route.handle(request.raw, reply.raw, request.body instanceof Buffer ? request.body : Buffer.alloc(0));
    };
  };
  const onChat = asks(chatDialect);
  const onMessages = asks(messagesDialect);
  const onResponses = asks(responsesDialect(door));
  const onCompletions = asks(completionsDialect);
  const onEmbeddings = asks(embeddingsDialect);
  const onRerank = asks(rerankDialect);
  const onModerations = asks(moderationsDialect);
  /** A route that writes to the socket itself and asks no model; what it throws becomes an error answer. */
  const plain =
    (route: (request: FastifyRequest, reply: ServerResponse) => void | Promise<void>) =>
    async (request: FastifyRequest, hijacked: FastifyReply) => {
      hijacked.hijack();
      const { raw } = request;
      const reply = hijacked.raw;
      const { requestId, headers } = getEntered(raw);
      try {
        await route(request, reply);
      } catch (thrown) {
        refuse(door, { raw, reply, error: toGatewayError(thrown), headers });
        return;
      }
      const path = pathOf(raw);
      // Balancers ask for these every few seconds, and the answer is always the same.
      if (!open.has(path)) logAccess(door, raw, { requestId, path, status: reply.statusCode });
    };
  const param = (request: FastifyRequest, name: string) => (request.params as Readonly<Record<string, string>>)[name] ?? "";
  const aboutResponse = (route: typeof getResponse) =>
    plain((request, reply) => {
      const query = new URLSearchParams(request.url.split("?")[1] ?? "");
      return route(door, getEntered(request.raw), reply, { id: param(request, "id"), query });
    });
  app.get(
    "/health",
    plain(({ raw }, reply) => health(reply, getEntered(raw).headers)),
  );
  app.get(
    "/ready",
    plain(({ raw }, reply) => ready(door, reply, getEntered(raw).headers)),
  );
  for (const base of ["/v1", ""]) {
    app.post(`${base}/chat/completions`, onChat);
    app.post(`${base}/messages`, onMessages);
    app.post(
      `${base}/messages/count_tokens`,
      plain(({ raw, body }, reply) => countTokens(getEntered(raw), reply, body instanceof Buffer ? body : Buffer.alloc(0))),
    );
    app.post(`${base}/completions`, onCompletions);
    app.post(`${base}/embeddings`, onEmbeddings);
    app.post(`${base}/rerank`, onRerank);
    app.post(`${base}/moderations`, onModerations);
    app.post(`${base}/responses`, onResponses);
    app.get(`${base}/responses/:id`, aboutResponse(getResponse));
    app.delete(`${base}/responses/:id`, aboutResponse(deleteResponse));
    app.get(`${base}/responses/:id/input_items`, aboutResponse(listInputItems));
    app.get(
      `${base}/models`,
      plain(({ raw }, reply) => listModels(getEntered(raw), reply)),
    );
    app.get(
      `${base}/models/*`,
      plain((request, reply) => getModel(getEntered(request.raw), reply, param(request, "*"))),
    );
  }
  app.post(
    "/v1/chorale/explain",
    plain(({ raw, body }, reply) => explainChat(getEntered(raw), reply, raw.headers, body instanceof Buffer ? body : Buffer.alloc(0))),
  );
  app.get(
    "/v1/chorale/requests/:id",
    plain((request, reply) => getRequest(door, getEntered(request.raw), reply, param(request, "id"))),
  );
}

/**
 * Lets plain chat requests go straight to their route. The framework takes a tenth of what such a request costs, for routing and parsers of which
 * it needs none; what is not plain, or not wanted any more, goes the framework's way and is answered there in the same words.
 */
function addStraightWay({ server }: FastifyInstance, door: Door, limit: number): void {
  const route = new ChatRoute(door, chatDialect);
  const [framework] = server.listeners("request");
  const onRequest = (raw: IncomingMessage, reply: ServerResponse): void => {
    const length = door.inFlight.draining ? undefined : straightLength(raw, limit);
    if (length === undefined) {
      framework?.call(server, raw, reply);
      return;
    }
    if (!enter(door, raw, reply)) return;
    readBody(raw, length, {
      take: (body) => void route.handle(raw, reply, body),
      fail: () => refuseBody(door, { raw, reply, error: new GatewayError("invalid_request", "The request is not valid.") }),
    });
  };
  server.removeAllListeners("request");
  server.on("request", onRequest);
}

/** A body that was refused may still be on its way: this connection can not be used again. */
function refuseBody(door: Door, { raw, reply, error }: Omit<Refused, "headers">): void {
  refuse(door, { raw, reply, error, headers: [...getEntered(raw).headers, "connection", "close"] });
}

function noCompiler(): never {
  throw new Error("no route has a schema");
}

/** Builds the HTTP side. `listen` is the caller's. */
export function buildApp(door: Door, options: ServerOptions): FastifyInstance {
  const bodyLimit = options.bodyLimitMb * 1024 * 1024;
  const app = fastify({
    logger: false,
    // A request without Host is refused here: Node would answer without a body.
    http: { requireHostHeader: false },
    bodyLimit,
    requestTimeout: options.requestTimeoutMs,
    exposeHeadRoutes: true,
    forceCloseConnections: "idle",
    // While it closes we answer ourselves: with our own errors, and with what still may be asked.
    return503OnClosing: false,
    // No route has a schema for it to compile, and its two compilers are over a hundred modules.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: 500 },
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => {
      reply.hijack();
      const { raw } = request;
      refuse(door, { raw, reply: reply.raw, error: doorError(error), headers: headersOf(door.current(), raw, newRequestId()) });
    },
  });
  app.server.headersTimeout = options.headersTimeoutMs;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/(?:[\w.+-]+\+)?json(?:;|$)/i, { parseAs: "buffer" }, (request, body, done) => {
    const encoding = request.headers["content-encoding"];
    if (encoding === undefined || encoding === "identity") done(null, body);
    else done(new GatewayError("unsupported_media_type", "Send the request's body without content-encoding."));
  });
  // A body without a content type is taken for JSON; any other type is not.
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => {
    if (request.headers["content-type"] === undefined) done(null, body);
    else done(new GatewayError("unsupported_media_type", "Send the request as application/json."));
  });
  app.addHook("onRequest", (request, reply, next) => {
    if (enter(door, request.raw, reply.raw)) next();
    else reply.hijack();
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    reply.hijack();
    refuseBody(door, { raw: request.raw, reply: reply.raw, error: doorError(error) });
  });
  app.setNotFoundHandler((request, reply) => {
    reply.hijack();
    const { raw } = request;
    refuse(door, { raw, reply: reply.raw, error: notFound(app, raw), headers: getEntered(raw).headers });
  });
  addRoutes(app, door);
  addStraightWay(app, door, bodyLimit);
  return app;
}
