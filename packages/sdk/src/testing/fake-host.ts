import type {
  EventsPublishParams,
  Json,
  LogParams,
  Notifications,
  PluginNotificationMethod,
  PluginRequestMethod,
  ProgressParams,
  Requests,
} from "../protocol/v1/index.ts";
import type { HostPort } from "../runtime/index.ts";
import { createFakeAgent } from "./fake-agent.ts";
import { createFakeDatabase } from "./fake-database.ts";
import { createFakeFiles } from "./fake-files.ts";
import { createFakeMachine } from "./fake-machine.ts";
import { createFakeNetwork } from "./fake-network.ts";
import { createFakeSockets } from "./fake-socket.ts";
import type { Fakes } from "./fakes.ts";

type Notes = { readonly [Method in PluginNotificationMethod]: (params: Notifications[Method]) => unknown };

type Handlers = {
  readonly [Method in PluginRequestMethod]: (
    params: Requests[Method]["params"],
  ) => Requests[Method]["result"] | Promise<Requests[Method]["result"]>;
};

export type RecordedRequest = {
  [Method in PluginRequestMethod]: { readonly method: Method; readonly params: Requests[Method]["params"] };
}[PluginRequestMethod];

export interface FakeHost extends HostPort {
  readonly requests: readonly RecordedRequest[];
  readonly logs: readonly LogParams[];
  readonly progress: readonly ProgressParams[];
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly kv: ReadonlyMap<string, Json>;
  readonly published: readonly Pick<EventsPublishParams, "topic" | "payload">[];
  readonly notes: readonly string[];
}

/** The host's side of protocol v1, in memory. Everything passes as JSON, as it does on the wire. */
export function createFakeHost(fakes: Fakes): FakeHost {
  const network = createFakeNetwork(fakes);
  const sockets = createFakeSockets(fakes);
  const files = createFakeFiles(fakes);
  const kv = new Map<string, Json>(Object.entries(fakes.kv ?? {}));
  const agent = createFakeAgent(fakes);
  const requests: RecordedRequest[] = [];
  const logs: LogParams[] = [];
  const progress: ProgressParams[] = [];

  const handlers: Handlers = {
    fetch: network.fetch,
    "body.read": network.read,
    "body.cancel": ({ stream }) => (network.cancel(stream), {}),
    "body.write": (params) => (network.write(params), {}),
    "ws.open": sockets.open,
    "ws.receive": sockets.receive,
    "ws.send": (params) => (sockets.send(params), {}),
    "ws.close": (params) => (sockets.close(params), {}),
    "files.read": files.read,
    "files.write": (params) => ({ bytes: files.write(params) }),
    "files.list": ({ path }) => files.list(path),
    "files.stat": ({ path }) => files.stat(path),
    "files.remove": ({ path }) => (files.remove(path), {}),
    "files.mkdir": ({ path }) => (files.mkdir(path), {}),
    "kv.get": ({ key }) => ({ value: kv.get(key) ?? null, found: kv.has(key) }),
    "kv.set": ({ key, value }) => (kv.set(key, value), {}),
    "kv.delete": ({ key }) => ({ deleted: kv.delete(key) }),
    "kv.list": ({ prefix }) => ({ keys: [...kv.keys()].filter((key) => key.startsWith(prefix)).toSorted() }),
    ...agent.handlers,
    ...createFakeMachine(fakes),
    ...createFakeDatabase(fakes),
  };

  const notes: Notes = { log: (line) => logs.push(line), progress: (step) => progress.push(step) };

  return {
    requests,
    logs,
    progress,
    files: files.contents,
    kv,
    published: agent.published,
    notes: agent.notes,
    async request<Method extends PluginRequestMethod>(method: Method, params: Requests[Method]["params"]) {
      const sent = asJson(params);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- method and params belong together; TypeScript cannot say so
      requests.push({ method, params: sent } as RecordedRequest);
      return asJson(await handlers[method](sent));
    },
    notify<Method extends PluginNotificationMethod>(method: Method, params: Notifications[Method]) {
      notes[method](asJson(params));
    },
  };
}

/** The value as the other side of the wire would see it. */
export function asJson<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value) ?? "null");
}
