import { canonicalHost, originOf } from "../capability/index.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";

/** Where a request goes, in canonical form. Everything after this compares and uses these fields, never the text again. */
export interface Target {
  readonly scheme: "https" | "http";
  /** As `canonicalHost` spells it: an IPv6 literal in brackets. */
  readonly host: string;
  readonly port: number;
  /** `scheme://host[:port]`, the port left out where it is the scheme's own. */
  readonly origin: string;
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
}

const DEFAULT_PORTS = { https: 443, http: 80 } as const;

/**
 * Reads a URL once, by the WHATWG rules, and refuses whatever two parsers could read differently.
 * @throws {SallyportError} `usage`.
 */
export function parseTarget(text: string, maxBytes: number): Target {
  if (text.length > maxBytes) throw refused("It is too long.");
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff\\]/.test(text))
    throw refused("It holds a control character, a space or a backslash.");
  if (!URL.canParse(text)) throw refused("It is not an absolute URL.");
  const url = new URL(text);
  const scheme = url.protocol.slice(0, -1);
  if (scheme !== "https" && scheme !== "http")
    throw refused(`The scheme ${displayLine(scheme, 20)} is not http or https.`);
  if (!/^https?:\/\/[^/]/i.test(text)) throw refused("Two slashes and a host must follow the scheme.");
  const authority = /^https?:\/\/([^/?#]*)/i.exec(text)?.[1] ?? "";
  if (authority.includes("@")) throw refused("It holds a user name or password.");
  checkPath(url.pathname);
  // The host as it was written, not as the URL parser repaired it: 2130706433 and 0x7f.1 are refused, not translated.
  const host = canonicalHost(authority.replace(/:\d*$/, ""));
  if (host !== url.hostname.replace(/\.$/, "")) throw refused("Its host can be read in two ways.");
  const port = url.port === "" ? DEFAULT_PORTS[scheme] : Number(url.port);
  if (port === 0) throw refused("Port 0 is no port.");
  return { scheme, host, port, origin: originOf({ scheme, host, port }), path: url.pathname, query: url.search };
}

export function targetUrl(target: Target): string {
  return `${target.origin}${target.path}${target.query}`;
}

/** Refuses escapes that a server may turn into other segments than those that were compared. */
export function checkPath(path: string): void {
  if (/%2f|%5c/i.test(path)) throw refused("Its path holds an escaped slash or backslash (%2f, %5c).");
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    throw refused("Its path holds an escape that is not UTF-8.");
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[\u0000-\u001f\u007f]/.test(decoded)) throw refused("Its path holds an escaped control character.");
  if (/(?:^|\/)\.{1,2}(?:;|\/|$)/.test(decoded)) throw refused("Its path holds a dot segment.");
}

function refused(detail: string): SallyportError {
  return new SallyportError("usage", "The URL is refused.", { detail, fix: "Ask for a plain http or https URL." });
}
