import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NEVER_IN_A_HOST = /[\s%@/\\?#<>^|"'`{}*]/;
const DOTTED_QUAD = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/* Longer than any name in its Unicode spelling; bounds the work of the parser. */
const MAX_INPUT = 512;

function refuse(text: string, why: string, fix: string): never {
  throw new SallyportError("usage", `${JSON.stringify(text.slice(0, 100))} is not a host name: ${why}.`, { fix });
}

/**
 * The one spelling of a host name or IP literal, as `URL.hostname` gives it: lower-case ASCII, IDN as `xn--`, IPv6 in brackets,
 * no trailing dot. Use it on both sides of every comparison.
 * @throws {SallyportError} `usage` for what is no host name, and for the odd spellings of an address that parsers disagree
 * about: `2130706433`, `0x7f.1`, `[::ffff:127.0.0.1]`, percent-encoding, NUL, invisible characters, user info.
 */
export function canonicalHost(text: string): string {
  const fix = "Write the name or address alone, as in api.example.com, 192.0.2.1 or [2001:db8::1].";
  if (text.length === 0 || text.length > MAX_INPUT) refuse(text, "it is empty or too long", fix);
  if (!text.isWellFormed() || hasHiddenCharacters(text) || NEVER_IN_A_HOST.test(text)) {
    refuse(text, "it has a character that no host name has", fix);
  }
  if (text.startsWith("[")) return canonicalIpv6(text);
  if (text.includes(":") || text.includes("]")) refuse(text, "a port or an address without brackets", fix);
  const bare = text.endsWith(".") ? text.slice(0, -1) : text;
  const host = URL.canParse(`http://${bare}/`) ? new URL(`http://${bare}/`).hostname : "";
  if (DOTTED_QUAD.test(host)) {
    if (host !== bare) refuse(text, "an IPv4 address is written as four decimal numbers", fix);
    return host;
  }
  if (host.length === 0 || host.length > 253 || !host.split(".").every((label) => LABEL.test(label))) {
    refuse(text, "it has an empty, too long or unlawful label", fix);
  }
  return host;
}

function canonicalIpv6(text: string): string {
  const fix = "Write the address in brackets, as in [2001:db8::1]; write IPv4 addresses as IPv4.";
  if (!/^\[[0-9a-f:.]{2,45}\]$/i.test(text) || !URL.canParse(`http://${text}/`))
    refuse(text, "it is no IPv6 address", fix);
  const host = new URL(`http://${text}/`).hostname;
  if (/^\[::(?:ffff:)?[0-9a-f]{1,4}:[0-9a-f]{1,4}\]$/.test(host)) refuse(text, "it hides an IPv4 address", fix);
  return host;
}

/** As `canonicalHost`, and `*.` before a name of two or more labels: any subdomain, never the name itself. */
export function canonicalHostPattern(text: string): string {
  if (!text.startsWith("*")) return canonicalHost(text);
  const fix = "Name the hosts, or write *.example.com for all subdomains of one domain.";
  if (!text.startsWith("*.")) refuse(text, "* stands only for whole leading labels", fix);
  const parent = canonicalHost(text.slice(2));
  if (!parent.includes(".") || isAddress(parent)) refuse(text, "a wildcard needs a domain of two or more labels", fix);
  return `*.${parent}`;
}

export function isAddress(host: string): boolean {
  return host.startsWith("[") || DOTTED_QUAD.test(host);
}

/** Whether a canonical pattern admits a canonical host. */
export function hostMatches(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  return (
    !isAddress(host) && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) && !host.startsWith("*")
  );
}

/** Whether every host that `inner` admits is admitted by `outer`. */
export function hostWithin(inner: string, outer: string): boolean {
  if (inner === outer) return true;
  return inner.startsWith("*.") ? outer.startsWith("*.") && inner.endsWith(outer.slice(1)) : hostMatches(outer, inner);
}
