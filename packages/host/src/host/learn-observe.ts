import type { StoredAuditEvent } from "../audit/index.ts";
import { canonicalFilePath, canonicalHost, type NetworkScope, type Wish } from "../capability/index.ts";
import { SallyportError } from "../kernel/index.ts";

/** What a plugin did, as far as the audit tells. */
export type Observed =
  | {
      readonly kind: "wish";
      readonly wish: Wish;
      /** Of a file: the directory in which it happened. */
      readonly place?: string;
    }
  /** A tunnel of a program: the host sees host and port, and only a grant of a whole host opens one. */
  | { readonly kind: "tunnel"; readonly host: string; readonly port: number }
  /** A command and its arguments in one text. */
  | { readonly kind: "command"; readonly line: string }
  | { readonly kind: "subscription"; readonly topic: string }
  /** A secret that went with a request to this origin. */
  | { readonly kind: "secret"; readonly name: string; readonly origin: string }
  /** Of a scope whose path or address the audit could not keep as it was. */
  | { readonly kind: "unreadable"; readonly capability: "network"; readonly scheme: string; readonly host: string }
  | { readonly kind: "unreadable"; readonly capability: "filesystem" };

export interface Observation {
  readonly what: Observed;
  readonly uses: number;
  readonly last: number;
  /** Error code, when it was refused. */
  readonly refused?: string;
  /** Method and target, as they may be shown. */
  readonly shown: string;
}

/** Different things that are told apart. What else a plugin did counts for the whole host, or not at all. */
const MOST_DIFFERENT = 5_000;
/** Different refusals, counted by themselves: what a plugin only wished for takes no room from what it did, and no time. */
const MOST_REFUSED = 1_000;
const PORTS = { https: 443, http: 80, wss: 443, ws: 80 } as const;
const WRITES = new Set(["write", "remove", "mkdir"]);
const READS = new Set(["read", "list", "stat"]);
const QUERIES = new Set(["select", "values", "table"]);
/** Its own storage needs no permission; what is not a capability was no wish. */
const WITHOUT_PERMISSION = new Set(["kv", "broker"]);

/** Adds up broker actions, equal ones together. */
export function createObserver() {
  const found = new Map<string, { -readonly [Key in keyof Observation]: Observation[Key] }>();
  let refusals = 0;
  let incomplete = false;

  const count = (what: Observed, event: StoredAuditEvent): void => {
    const refused = event.decision === "deny" ? (event.reason ?? "denied") : undefined;
    const key = JSON.stringify([what, refused]);
    const known = found.get(key);
    if (known) {
      known.uses++;
      known.last = Math.max(known.last, event.time);
      return;
    }
    if (refused !== undefined && refusals >= MOST_REFUSED) {
      incomplete = true;
      return;
    }
    if (refused === undefined && found.size - refusals >= MOST_DIFFERENT && what.kind !== "unreadable") {
      const rough = roughly(what);
      if (rough === undefined) incomplete = true;
      else count(rough, event);
      return;
    }
    if (refused !== undefined) refusals++;
    const shown = [event.capability === "network" ? methodOf(event) : (event.method ?? ""), event.target ?? ""];
    found.set(key, {
      what,
      uses: 1,
      last: event.time,
      ...(refused === undefined ? {} : { refused }),
      shown: shown.join(" ").trim(),
    });
  };

  return {
    add(event: StoredAuditEvent): void {
      if (WITHOUT_PERMISSION.has(event.capability ?? "")) return;
      // The end of a WebSocket is no wish of its own.
      if (event.method === "ws.close") return;
      const what = observedIn(event);
      if (what === undefined) return;
      count(what, event);
      if (what.kind === "wish" && what.wish.capability === "network" && event.decision !== "deny")
        for (const name of secretsOf(event)) count({ kind: "secret", name, origin: httpOrigin(what.wish) }, event);
    },
    observations: (): readonly Observation[] => [...found.values()],
    /** Whether something was left out for being one thing too many. */
    incomplete: (): boolean => incomplete,
  };
}

function observedIn(event: StoredAuditEvent): Observed | undefined {
  const { capability = "", target = "", method = "" } = event;
  switch (capability) {
    case "network":
      return networkIn(target, method);
    case "filesystem":
      return fileIn(target, method);
    case "database": {
      const changes = event.data?.["changes"];
      const reads = QUERIES.has(method) || (method === "with" && changes === 0) || method === "query";
      return { kind: "wish", wish: { capability, connection: target, mode: reads ? "r" : "w" } };
    }
    case "exec":
      return { kind: "command", line: target };
    case "agent":
      return {
        kind: "wish",
        wish: method === "agent.notify" ? { capability, notify: true } : { capability, tool: target },
      };
    case "events":
      return method === "events.subscribe"
        ? { kind: "subscription", topic: target }
        : { kind: "wish", wish: { capability, direction: "publish", topic: target } };
    case "system":
      return { kind: "wish", wish: { capability, facet: target } };
    default:
      return undefined;
  }
}

function networkIn(target: string, method: string): Observed | undefined {
  const tunnel = /^(\[[^\]]+\]|[^/:]+):(\d{1,5})$/.exec(target);
  if (method === "CONNECT" && tunnel !== null)
    return { kind: "tunnel", host: tunnel[1] ?? "", port: Number(tunnel[2]) };
  const [, scheme = "", host = "", port, path = "/"] =
    /^([a-z]+):\/\/(\[[^\]]+\]|[^/:]+)(?::(\d{1,5}))?(\/.*)?$/.exec(target) ?? [];
  // What is no URL never reached a server.
  if (!isScheme(scheme) || !isHost(host)) return undefined;
  // Cut where the audit cuts; what follows is not known.
  if (path.endsWith("…")) return { kind: "unreadable", capability: "network", scheme, host };
  return {
    kind: "wish",
    wish: {
      capability: "network",
      scheme,
      host,
      port: port === undefined ? PORTS[scheme] : Number(port),
      method: method === "ws.open" ? "GET" : method,
      path,
    },
  };
}

function fileIn(target: string, method: string): Observed | undefined {
  if (!WRITES.has(method) && !READS.has(method)) return undefined;
  try {
    const path = canonicalFilePath(target);
    const parent = path.slice(0, Math.max(1, path.lastIndexOf("/")));
    return {
      kind: "wish",
      wish: { capability: "filesystem", path, mode: WRITES.has(method) ? "w" : "r" },
      place: method === "list" || method === "mkdir" || !path.includes("/") ? path : parent,
    };
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    return { kind: "unreadable", capability: "filesystem" };
  }
}

/** The same, with less of it told apart; there are few of these. */
function roughly(what: Observed): Observed | undefined {
  if (what.kind !== "wish") return undefined;
  const { wish } = what;
  if (wish.capability === "network")
    return { kind: "unreadable", capability: "network", scheme: wish.scheme, host: wish.host };
  return wish.capability === "filesystem" ? { kind: "unreadable", capability: "filesystem" } : undefined;
}

function isScheme(text: string): text is NetworkScope["scheme"] {
  return Object.hasOwn(PORTS, text);
}

function isHost(text: string): boolean {
  try {
    return canonicalHost(text) === text;
  } catch (error) {
    if (error instanceof SallyportError) return false;
    throw error;
  }
}

function httpOrigin({ scheme, host, port }: Wish & { capability: "network" }): string {
  const http = scheme === "wss" || scheme === "https" ? "https" : "http";
  return `${http}://${host}${port === PORTS[http] ? "" : `:${port}`}`;
}

function secretsOf({ data }: StoredAuditEvent): readonly string[] {
  const names: unknown = data?.["secrets"];
  return Array.isArray(names) ? names.filter((name): name is string => typeof name === "string") : [];
}

function methodOf({ method = "" }: StoredAuditEvent): string {
  return method === "ws.open" ? "WebSocket to" : method;
}
