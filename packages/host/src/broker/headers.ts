import { PolicyViolationError, SallyportError } from "../kernel/index.ts";

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Written by the host alone: whatever the plugin puts there is left out, as browsers do. */
const HOST_OWNED = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "via",
  "cookie",
  "cookie2",
  "accept-encoding",
  "http2-settings",
]);

/** Let a server act on another method or path than the one that was compared with the grant. */
const OVERRIDES = new Set([
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
  "x-original-method",
]);

/** Of an answer: about the connection, about the encoding that the host undid, or a session of the host's own. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "set-cookie",
  "set-cookie2",
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The headers of a plugin that go out. Names in lower case.
 * @throws {SallyportError} `usage`, `limit_exceeded`. @throws {PolicyViolationError} `permission_denied` for an override.
 */
export function requestHeaders(headers: HeaderList, maxBytes: number): [string, string][] {
  let bytes = 0;
  const kept: [string, string][] = [];
  for (const [rawName, value] of headers) {
    const name = rawName.toLowerCase();
    bytes += name.length + value.length + 4;
    if (bytes > maxBytes)
      throw new SallyportError("limit_exceeded", `The request's headers are over ${maxBytes} bytes.`);
    if (!TOKEN.test(name) || !VALUE.test(value)) {
      throw new SallyportError("usage", "A header of the request is malformed.", {
        detail: "Names are tokens; values hold no control characters and nothing beyond Latin-1.",
      });
    }
    if (OVERRIDES.has(name)) {
      throw new PolicyViolationError("permission_denied", `The header ${name} is refused.`, {
        detail: "It makes servers act on another method or path than the one that was granted.",
        fix: "Send the request with the method and path that it means.",
      });
    }
    if (!isHostOwned(name)) kept.push([name, value]);
  }
  return kept;
}

export function isHostOwned(name: string): boolean {
  return HOST_OWNED.has(name) || name.startsWith("proxy-") || name.startsWith("sec-");
}

/** A header that a secret may be written to: any but those about the connection. Cookies may, for they are credentials. */
export function canCarrySecret(name: string, value: string): boolean {
  return TOKEN.test(name) && VALUE.test(value) && (name === "cookie" || !isHostOwned(name)) && !OVERRIDES.has(name);
}

/** @param decoded whether the host undid the content's encoding, so that its length and encoding no longer hold. */
export function responseHeaders(headers: HeaderList, decoded: boolean): [string, string][] {
  const named = new Set(
    headers.filter(([name]) => name === "connection").flatMap(([, value]) => value.toLowerCase().split(/[\s,]+/)),
  );
  return headers
    .filter(([name]) => !HOP_BY_HOP.has(name) && !name.startsWith("proxy-") && !named.has(name))
    .filter(([name]) => !decoded || (name !== "content-encoding" && name !== "content-length"))
    .map(([name, value]) => [name, value]);
}

export function withoutHeader(headers: HeaderList, ...names: readonly string[]): [string, string][] {
  return headers.filter(([name]) => !names.includes(name)).map(([name, value]) => [name, value]);
}
