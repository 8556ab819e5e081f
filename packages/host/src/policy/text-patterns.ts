import {
  canonicalHost,
  canonicalHostPattern,
  canonicalPathPattern,
  hostMatches,
  pathMatches,
} from "../capability/index.ts";
import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";

/** A value that cannot be compared with certainty: it may be read as something else by who gets it. */
export type Answer = boolean | "unclear";
export type TextMatcher = (text: string) => Answer;

const MAX_PATTERN = 500;

/** `*` is any text, also none. Linear in the text, whatever the pattern. @throws {SallyportError} `usage`. */
export function compileGlob(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN) throw badPattern(pattern, `it has over ${MAX_PATTERN} characters`, "Shorten it.");
  const parts = pattern.split("*");
  const [head = "", ...others] = parts;
  const tail = others.pop();
  if (tail === undefined) return (text) => text === pattern;
  const finders = others.filter((part) => part !== "").map(finderOf);
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
    const end = text.length - tail.length;
    let at = head.length;
    for (const find of finders) {
      at = find(text, at, end);
      if (at === -1) return false;
    }
    return true;
  };
}

/** Knuth, Morris and Pratt: the end of the first occurrence between two places, or -1. `indexOf` is not linear on hostile text. */
function finderOf(part: string): (text: string, from: number, end: number) => number {
  const fall = [0];
  for (let at = 1, same = 0; at < part.length; at++) {
    while (same > 0 && part[at] !== part[same]) same = fall[same - 1] ?? 0;
    if (part[at] === part[same]) same++;
    fall.push(same);
  }
  return (text, from, end) => {
    let same = 0;
    for (let at = from; at < end; at++) {
      while (same > 0 && text[at] !== part[same]) same = fall[same - 1] ?? 0;
      if (text[at] === part[same]) same++;
      if (same === part.length) return at + 1;
    }
    return -1;
  };
}

/** What a program may decode, resolve or cut off where another would not. */
const AMBIGUOUS_PATH = /\\|%(?:2[ef]|5c|00)|[\0\n\t]/i;

/**
 * `/data/**` is the directory and all below it, `*` any text within one segment; `${data}` may stand in front. `//`, `/./` and a slash
 * at the end make no difference; a path with `..`, an encoded separator or a relative one is unclear.
 * @throws {SallyportError} `usage`.
 */
export function compileFilePath(pattern: string): TextMatcher {
  const wanted = segmentsOf(pattern);
  if (wanted === undefined || hasHiddenCharacters(pattern)) {
    throw badPattern(pattern, "it is no plain absolute path", "Write /srv/reports/** or ${data}/cache/*.json.");
  }
  const deep = wanted.at(-1) === "**";
  const fixed = deep ? wanted.slice(0, -1) : wanted;
  if (fixed.some((segment) => segment.includes("**"))) {
    throw badPattern(pattern, "** may only be its last segment", "Write * for any text within one segment.");
  }
  const globs = fixed.map(compileGlob);
  return (text) => {
    const found = segmentsOf(text);
    if (found === undefined) return "unclear";
    if (deep ? found.length < globs.length : found.length !== globs.length) return false;
    return globs.every((glob, index) => glob(found[index] ?? ""));
  };
}

/** `undefined` for a path that cannot be compared. The first segment tells the root: empty, or `${data}`. */
function segmentsOf(path: string): readonly string[] | undefined {
  const [root = "", ...segments] = path.split("/");
  if ((root !== "" || path === "") && root !== "${data}") return undefined;
  if (AMBIGUOUS_PATH.test(path) || segments.includes("..")) return undefined;
  return [root, ...segments.filter((segment) => segment !== "" && segment !== ".")];
}

/**
 * `https://api.example.com/v1/**`: scheme, host (also `*.example.com`), port and path; a query is not looked at, without a path
 * it is every path, and `/v1/**` is `/v1` too. User info, an encoded separator, `//` and `..` within the path are unclear.
 * @throws {SallyportError} `usage`.
 */
export function compileUrl(pattern: string): TextMatcher {
  const parts = /^([a-z]+):\/\/([^/?#@]+?)(?::([0-9]{1,5}))?(\/[^?#]*)?$/.exec(pattern);
  const [, scheme = "", hostText = "", portText, path = "/**"] = parts ?? [];
  if (parts === null || !Object.hasOwn(PORTS, scheme)) {
    throw badPattern(
      pattern,
      "it is no pattern of a URL",
      "Write https://api.example.com/v1/** or wss://*.example.com.",
    );
  }
  const host = canonicalHostPattern(hostText);
  const port = portText === undefined ? PORTS[scheme] : Number(portText);
  const wanted = [canonicalPathPattern(path)];
  if (path.endsWith("/**")) wanted.push(canonicalPathPattern(path.slice(0, -3) || "/"));
  return (text) => {
    const url = parsedUrl(text);
    if (url === undefined) return "unclear";
    if (url.protocol !== `${scheme}:` || portOf(url) !== port || !hostMatches(host, url.hostname)) return false;
    const found = plainUrlPath(url);
    return found === undefined ? "unclear" : wanted.some((one) => pathMatches(one, found));
  };
}

const PORTS: Readonly<Record<string, number>> = { https: 443, http: 80, wss: 443, ws: 80 };

interface ParsedUrl {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
}

function portOf(url: ParsedUrl): number | undefined {
  return url.port === "" ? PORTS[url.protocol.slice(0, -1)] : Number(url.port);
}

/** White space is dropped by one parser and kept by the next; user info hides the host from people; a name may end with a dot. */
function parsedUrl(text: string): ParsedUrl | undefined {
  if (/[\s\\]/.test(text) || !/^[a-z+.-]+:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return undefined;
  const hostname = canonicalOrNothing(url.hostname);
  return hostname === undefined
    ? undefined
    : { protocol: url.protocol, hostname, port: url.port, pathname: url.pathname };
}

/** With letters, digits, `-`, `.`, `_` and `~` as themselves: `/%61dmin` is `/admin`. */
function plainUrlPath(url: ParsedUrl): string | undefined {
  const path = url.pathname.replace(/%(?:2[de]|5f|7e|3[0-9]|[46][1-9a-f]|[57][0-9a])/gi, decodeURIComponent);
  return path.includes("//") || !pathMatches("/**", path) ? undefined : path;
}

/** `api.example.com` or `*.example.com`; the value is a host, a host with a port, or a URL. @throws {SallyportError} `usage`. */
export function compileHost(pattern: string): TextMatcher {
  const wanted = canonicalHostPattern(pattern);
  return (text) => {
    const host = hostIn(text);
    return host === undefined ? "unclear" : hostMatches(wanted, host);
  };
}

function hostIn(text: string): string | undefined {
  return text.includes("://") ? parsedUrl(text)?.hostname : canonicalOrNothing(text.replace(/:[0-9]{1,5}$/, ""));
}

function canonicalOrNothing(host: string): string | undefined {
  try {
    return canonicalHost(host);
  } catch {
    return undefined;
  }
}

export function badPattern(pattern: string, why: string, fix: string): SallyportError {
  return new SallyportError("usage", `${JSON.stringify(pattern.slice(0, 100))} cannot be a pattern: ${why}.`, { fix });
}
