import type { SecretUse } from "../capability/index.ts";
import { SallyportError } from "../kernel/index.ts";
import type { KnownSecret } from "../secrets/index.ts";
import { canCarrySecret, type HeaderList, withoutHeader } from "./headers.ts";
import { checkPath } from "./target.ts";

/** The parts of a request that a secret can be written to. Header names in lower case; the query with its `?` or empty. */
export interface RequestParts {
  readonly path: string;
  readonly query: string;
  readonly headers: HeaderList;
}

/** A place of a request: `header:x-key`, `query:appid`, `path:2`, `basic`, or one where no secret may be. */
export interface Sighting {
  readonly name: string;
  readonly place: string;
}

/** Where placeholders stand in a request. Anything that is not in exactly a declared place is for the caller to refuse. */
export function findPlaceholders(parts: RequestParts, placeholders: ReadonlyMap<string, string>): readonly Sighting[] {
  const found: Sighting[] = [];
  const look = (text: string, place: string): void => {
    // Header names arrive in lower case.
    const folded = text.toLowerCase();
    for (const [name, placeholder] of placeholders)
      if (folded.includes(placeholder.toLowerCase())) found.push({ name, place });
  };
  for (const [name, value] of parts.headers) {
    look(name, "the name of a header");
    look(value, `header:${name}`);
    const encoded = name === "authorization" ? /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(value)?.[1] : undefined;
    if (encoded !== undefined) look(Buffer.from(encoded, "base64").toString("latin1"), "basic");
  }
  for (const [key, value] of queryPairs(parts.query)) {
    look(formDecoded(key), "the name of a query parameter");
    look(formDecoded(value ?? ""), `query:${formDecoded(key)}`);
  }
  for (const [index, segment] of parts.path.split("/").slice(1).entries()) look(uriDecoded(segment), `path:${index}`);
  return found;
}

/** The request with everything taken out of the place, so that nothing of the plugin's stays where the host writes. */
export function clearPlace(parts: RequestParts, place: string): RequestParts {
  const [kind = "", key = ""] = splitPlace(place);
  if (kind === "header") return { ...parts, headers: withoutHeader(parts.headers, key) };
  if (kind === "basic") return { ...parts, headers: withoutHeader(parts.headers, "authorization") };
  if (kind === "query")
    return { ...parts, query: queryText(queryPairs(parts.query).filter(([name]) => formDecoded(name) !== key)) };
  return parts;
}

/**
 * The request with a secret written to the place of its use, whole.
 * @throws {SallyportError} `secret_misuse` when the value cannot stand there.
 */
export function writeSecret(parts: RequestParts, use: SecretUse, secret: KnownSecret): RequestParts {
  const text = use.format.replace("{}", () => secret.value);
  const cleared = clearPlace(parts, use.in);
  const [kind = "", key = ""] = splitPlace(use.in);
  switch (kind) {
    case "header":
      if (!canCarrySecret(key, text)) throw unwritable(secret.name, `The header ${key} cannot hold this value.`);
      return { ...cleared, headers: [...cleared.headers, [key, text]] };
    case "basic": {
      const pair = text.includes(":") ? text : `${text}:`;
      const value = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
      return { ...cleared, headers: [...cleared.headers, ["authorization", value]] };
    }
    case "query": {
      const pair: readonly [string, string] = [encodeURIComponent(key), encodeURIComponent(text)];
      return { ...cleared, query: queryText([...queryPairs(cleared.query), pair]) };
    }
    case "path": {
      const segments = parts.path.split("/");
      const at = Number(key) + 1;
      if (at >= segments.length) throw unwritable(secret.name, `The path has no segment ${key}.`);
      segments[at] = encodeURIComponent(text);
      const path = segments.join("/");
      if (text === "." || text === ".." || text.includes("/") || text.includes("\\")) {
        throw unwritable(secret.name, "The value would change the path around it.");
      }
      checkPath(path);
      return { ...cleared, path };
    }
    default:
      throw unwritable(secret.name, "Its grant names no place.");
  }
}

function splitPlace(place: string): string[] {
  const colon = place.indexOf(":");
  return colon === -1 ? [place] : [place.slice(0, colon), place.slice(colon + 1)];
}

type Pair = readonly [key: string, value: string | undefined];

function queryPairs(query: string): Pair[] {
  if (query.length <= 1) return [];
  return query
    .slice(1)
    .split("&")
    .map((pair): Pair => {
      const equals = pair.indexOf("=");
      return equals === -1 ? [pair, undefined] : [pair.slice(0, equals), pair.slice(equals + 1)];
    });
}

function queryText(pairs: readonly Pair[]): string {
  if (pairs.length === 0) return "";
  return `?${pairs.map(([key, value]) => (value === undefined ? key : `${key}=${value}`)).join("&")}`;
}

function formDecoded(text: string): string {
  return uriDecoded(text.replaceAll("+", " "));
}

function uriDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function unwritable(name: string, detail: string): SallyportError {
  return new SallyportError("secret_misuse", `The secret ${name} cannot be written into this request.`, { detail });
}
