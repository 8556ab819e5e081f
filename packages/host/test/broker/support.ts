import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import {
  type Authority,
  type BrokerAction,
  type BrokerDeps,
  type BrokerLogLine,
  createBroker,
  type PluginSession,
} from "../../src/broker/index.ts";
import type { NetworkScope, Scope, SecretScope } from "../../src/capability/index.ts";
import { type IsolationLevel, SallyportError } from "../../src/kernel/index.ts";
import { createRedactor, type SecretEntry } from "../../src/secrets/index.ts";
import type { KvStore } from "../../src/store/index.ts";
import type { CallContext } from "../../src/supervisor/index.ts";

export const PLUGIN = { id: "probe", version: "1.0.0", digest: "sha256:00" };

export interface Bench {
  readonly session: PluginSession;
  readonly actions: BrokerAction[];
  readonly lines: BrokerLogLine[];
  readonly context: CallContext;
  /** Sends one request of the plugin, within the call. */
  readonly ask: <T = Record<string, unknown>>(method: string, params: object) => Promise<T>;
  readonly fetch: (url: string, extra?: object) => Promise<Answer>;
  /** The whole body of an answer, however it came. */
  readonly bodyOf: (answer: Answer) => Promise<Buffer>;
}

export interface Answer {
  readonly status: number;
  readonly status_text: string;
  readonly headers: [string, string][];
  readonly url: string;
  readonly redirected: boolean;
  readonly body: string | null;
  readonly stream: string | null;
}

export interface BenchOptions extends Partial<Omit<BrokerDeps, "secrets">> {
  readonly declared?: readonly Scope[];
  readonly granted?: readonly Scope[];
  readonly ceiling?: readonly Scope[];
  readonly vault?: Readonly<Record<string, Omit<SecretEntry, "updatedAt">>>;
  readonly dataDir?: string;
  readonly level?: IsolationLevel;
  readonly intent?: Promise<void>;
  readonly signal?: AbortSignal;
  /** What the operator's yes to the call limited it to. */
  readonly within?: readonly Scope[];
}

export function bench(options: BenchOptions): Bench {
  const actions: BrokerAction[] = [];
  const lines: BrokerLogLine[] = [];
  const vault = options.vault ?? {};
  const known = Object.entries(vault).map(([name, { value }]) => ({ name, value }));
  const granted = options.granted ?? [];
  const authority: Authority = {
    plugin: PLUGIN,
    declared: options.declared ?? granted.map(withoutOperatorFlags),
    granted,
    ...(options.ceiling === undefined ? {} : { ceiling: options.ceiling }),
    space: PLUGIN.id,
    dataDir: options.dataDir ?? "/nonexistent/data",
    level: options.level ?? "namespace",
  };
  const broker = createBroker({
    home: "/nonexistent/home",
    redactor: createRedactor(() => known),
    kv: memoryKv(),
    clock: { now: () => 0, monotonic: () => performance.now() },
    onAction: (action) => actions.push(action),
    onLog: (line) => lines.push(line),
    ownAddresses: () => [],
    forbiddenPaths: [],
    ...options,
    secrets: { use: (name) => (vault[name] === undefined ? undefined : { ...vault[name], updatedAt: 0 }) },
  });
  const session = broker.session(authority);
  const context: CallContext = {
    callId: "call_1",
    agent: "tester",
    tool: "probe",
    intent: options.intent ?? Promise.resolve(),
    signal: options.signal ?? new AbortController().signal,
    ...(options.within === undefined ? {} : { within: options.within }),
  };
  const ask = async <T>(method: string, params: object): Promise<T> =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a test states the shape that it expects
    (await session.handle(method, { call: "call_1", ...params }, context, new AbortController().signal)) as T;
  return {
    session,
    actions,
    lines,
    context,
    ask,
    fetch: (url, extra = {}) =>
      ask("fetch", {
        url,
        method: "GET",
        headers: [],
        body: null,
        upload: null,
        redirect: "follow",
        secrets: [],
        ...extra,
      }),
    async bodyOf(answer) {
      if (answer.body !== null) return Buffer.from(answer.body, "base64");
      const pieces: Buffer[] = [];
      for (;;) {
        const { data, done } = await ask<{ data: string; done: boolean }>("body.read", { stream: answer.stream });
        pieces.push(Buffer.from(data, "base64"));
        if (done) return Buffer.concat(pieces);
      }
    },
  };
}

function withoutOperatorFlags(scope: Scope): Scope {
  if (scope.capability !== "network") return scope;
  const { private: _private, loopback: _loopback, ...rest } = scope;
  return rest;
}

export function network(port: number, extra: Partial<NetworkScope> = {}): NetworkScope {
  return {
    capability: "network",
    host: "127.0.0.1",
    port,
    scheme: "http",
    methods: ["*"],
    paths: ["/**"],
    loopback: true,
    ...extra,
  };
}

export function secret(name: string, origin: string, place: string, format = "{}"): SecretScope {
  return { capability: "secrets", name, use: { origin, in: place, format } };
}

export function memoryKv(): KvStore {
  const all = new Map<string, string>();
  const mine = (id: string): [string, string][] =>
    [...all].filter(([key]) => key.startsWith(`${id} `)).map(([key, value]) => [key.slice(id.length + 1), value]);
  return {
    get: async (id, key) => all.get(`${id} ${key}`) ?? null,
    async set(id, key, value, quota) {
      const others = mine(id).filter(([name]) => name !== key);
      if (others.reduce((sum, [name, text]) => sum + name.length + text.length, key.length + value.length) > quota)
        throw new SallyportError("quota_exceeded", "full");
      all.set(`${id} ${key}`, value);
    },
    delete: async (id, key) => all.delete(`${id} ${key}`),
    list: async (id, prefix, limit) =>
      mine(id)
        .map(([key]) => key)
        .filter((key) => key.startsWith(prefix))
        .toSorted()
        .slice(0, limit),
    usage: async (id) => ({
      keys: mine(id).length,
      bytes: mine(id).reduce((sum, [key, value]) => sum + key.length + value.length, 0),
    }),
  };
}

export interface TestServer {
  readonly port: number;
  readonly origin: string;
  readonly requests: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[];
  readonly close: () => Promise<void>;
}

/** A server on loopback that keeps what it was asked. */
export async function serve(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
  make: (listener: RequestListener) => Server = createServer,
): Promise<TestServer> {
  const requests: TestServer["requests"] = [];
  const server = make((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    request.on("end", () => {
      requests.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      answer(request, response, body);
    });
    request.on("error", () => undefined);
    response.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server.address());
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

export function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address.port;
}

export async function temporaryDirectory(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-broker-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return error instanceof SallyportError ? error.code : String(error);
  }
}

/** `serve` for a file of tests: its servers are closed after each test. */
export function servedByTest(): typeof serve {
  const servers: TestServer[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((each) => each.close()));
  });
  return async (...args) => {
    const started = await serve(...args);
    servers.push(started);
    return started;
  };
}
