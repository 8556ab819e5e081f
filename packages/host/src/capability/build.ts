import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";
import { canonicalHostPattern } from "./host-name.ts";
import type { NetworkScope, SecretUse } from "./types.ts";
import { canonicalPathPattern } from "./url-path.ts";

const DEFAULT_PORTS: Record<NetworkScope["scheme"], number> = { https: 443, http: 80, wss: 443, ws: 80 };
const METHOD = /^[A-Z]{1,16}$/;

function refuse(message: string, fix: string): never {
  throw new SallyportError("usage", message, { fix });
}

export interface NetworkParts {
  /** Name, address, `*.name`, or any of these with `:port`. */
  readonly host: string;
  readonly port?: number | undefined;
  readonly scheme?: string | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly paths?: readonly string[] | undefined;
}

/**
 * A network scope in canonical form. Absent: scheme https, the scheme's port, any method, every path.
 * @throws {SallyportError} `usage`.
 */
export function networkScope(parts: NetworkParts): NetworkScope {
  const scheme = parts.scheme ?? "https";
  if (!isScheme(scheme))
    return refuse(`The scheme ${JSON.stringify(scheme.slice(0, 40))} is not known.`, "Use https, http, wss or ws.");
  const split = splitPort(parts.host);
  if (split.port !== undefined && parts.port !== undefined && split.port !== parts.port) {
    return refuse("The host names one port and `port` another.", "Give the port once.");
  }
  const port = parts.port ?? split.port ?? DEFAULT_PORTS[scheme];
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    return refuse("The port is not a number from 1 to 65535.", "Write it as in 8443.");
  return {
    capability: "network",
    host: canonicalHostPattern(split.host),
    port,
    scheme,
    methods: canonicalMethods(parts.methods ?? ["*"]),
    paths: canonicalList(parts.paths ?? ["/**"], canonicalPathPattern),
  };
}

/**
 * A network scope from one text: `host`, `host:port` or `scheme://host:port/path`.
 * @throws {SallyportError} `usage`.
 */
export function networkFromText(text: string, methods?: readonly string[]): NetworkScope {
  const [, scheme, host = text, path] = /^([a-z]+):\/\/([^/]*)(\/.*)?$/.exec(text) ?? [];
  return networkScope({ host, scheme, paths: path === undefined ? undefined : [path], methods });
}

function isScheme(text: string): text is NetworkScope["scheme"] {
  return Object.hasOwn(DEFAULT_PORTS, text);
}

/** Splits `host:port`, `[v6]:port`; a text without a port is all host. */
export function splitPort(text: string): { host: string; port?: number } {
  const found = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text);
  const [, host, port] = found ?? [];
  return host === undefined || port === undefined ? { host: text } : { host, port: Number(port) };
}

function canonicalMethods(methods: readonly string[]): readonly string[] {
  const upper = methods.map((method) => method.toUpperCase());
  if (upper.length === 0) return refuse("The list of methods is empty.", "Name methods, or leave them out for any.");
  if (upper.includes("*")) return ["*"];
  for (const method of upper) {
    if (!METHOD.test(method))
      refuse(`${JSON.stringify(method.slice(0, 40))} is no HTTP method.`, "Write them as in GET, POST.");
    if (method === "CONNECT" || method === "TRACE" || method === "TRACK")
      refuse(`The method ${method} is never granted.`, "Remove it.");
  }
  return [...new Set(upper)].toSorted();
}

function canonicalList(items: readonly string[], canonical: (text: string) => string): readonly string[] {
  if (items.length === 0) return refuse("The list of paths is empty.", "Name paths, or leave them out for all.");
  return [...new Set(items.map(canonical))].toSorted();
}

const HEADER = /^header:[A-Za-z][A-Za-z0-9-]{0,63}$/;
const QUERY = /^query:[A-Za-z0-9_.~-]{1,64}$/;
const PATH = /^path:(?:[0-9]|[1-9][0-9])$/;
/* The host writes these itself; a secret there would never arrive, or would change where the request goes. */
const HOST_WRITTEN =
  /^header:(?:host|connection|content-length|transfer-encoding|upgrade|te|trailer|keep-alive|cookie|proxy-.*|sec-.*)$/i;

/**
 * Where a secret goes, in canonical form.
 * @throws {SallyportError} `usage`.
 */
export function secretUse(parts: { origin: string; in: string; format?: string | undefined }): SecretUse {
  const format = parts.format ?? "{}";
  if (format.split("{}").length !== 2 || format.length > 200 || hasHiddenCharacters(format) || /[\n\t]/.test(format)) {
    return refuse("The format of a secret's use has not exactly one {}.", 'Write it as in "Bearer {}".');
  }
  const place = parts.in.startsWith("header:") ? parts.in.toLowerCase() : parts.in;
  if (!(HEADER.test(place) || QUERY.test(place) || PATH.test(place) || place === "basic")) {
    return refuse("`in` of a secret's use names no place.", "Use header:NAME, query:NAME, path:N or basic.");
  }
  if (HOST_WRITTEN.test(place))
    return refuse(`The host writes ${place} itself; a secret cannot go there.`, "Use another header.");
  return { origin: canonicalOrigin(parts.origin), in: place, format };
}

/**
 * `https://host[:port]`, or the same with http for services that have nothing better.
 * @throws {SallyportError} `usage`.
 */
export function canonicalOrigin(text: string): string {
  const found = /^(https?):\/\/([^/?#@\\]+)\/?$/.exec(text);
  const [, scheme, authority] = found ?? [];
  if (scheme === undefined || authority === undefined)
    return refuse(
      "The origin of a secret's use is not a URL of scheme and host.",
      "Write it as in https://api.example.com.",
    );
  const scope = networkScope({ host: authority, scheme });
  if (scope.host.startsWith("*."))
    return refuse("The origin of a secret's use is one host, not a pattern.", "Name the host.");
  return originOf(scope);
}

/** `scheme://host[:port]`, the port left out where it is the scheme's own. */
export function originOf(scope: Pick<NetworkScope, "scheme" | "host" | "port">): string {
  const port = scope.port === DEFAULT_PORTS[scope.scheme] ? "" : `:${scope.port}`;
  return `${scope.scheme}://${scope.host}${port}`;
}
