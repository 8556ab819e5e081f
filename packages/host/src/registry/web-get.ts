import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Agent, request } from "undici";
import { displayLine, PolicyViolationError, SallyportError } from "../kernel/index.ts";

/** Bounds of one fetch. Sizes in bytes, times in milliseconds. */
export interface WebLimits {
  readonly redirects: number;
  readonly headerBytes: number;
  readonly connectMs: number;
  /** Until the first byte, and between two pieces. */
  readonly idleMs: number;
  /** From the first request to the last byte. */
  readonly totalMs: number;
  /** After this time the average must be at least `bytesPerSecond`. */
  readonly graceMs: number;
  readonly bytesPerSecond: number;
}

export const WEB_LIMITS: WebLimits = {
  redirects: 3,
  headerBytes: 16 * 1024,
  connectMs: 10_000,
  idleMs: 15_000,
  totalMs: 600_000,
  graceMs: 15_000,
  bytesPerSecond: 1024,
};

/** What of the outside world a fetch needs. */
export interface WebPorts {
  /** What kind of place an address is; only `public` may be reached unless the registry is a private one. */
  readonly classify: (address: string) => string;
  readonly resolve?: ((host: string) => Promise<readonly string[]>) | undefined;
  readonly certificateAuthorities?: readonly string[] | undefined;
  readonly limits?: Partial<WebLimits> | undefined;
}

export interface WebRequest {
  readonly url: URL;
  readonly maxBytes: number;
  /** The operator added this registry as one of the local network: its host may have private addresses and speak plain HTTP. */
  readonly private: boolean;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Addresses that an operator may admit. The rest (metadata, link-local, multicast, reserved) never. */
const ADMISSIBLE: ReadonlySet<string> = new Set(["loopback", "private"]);

/**
 * Fetches one file, whole and within all bounds. Follows few redirects, none to another scheme than HTTPS and none to an address
 * that is not public; environment variables (proxies, TLS switches) change nothing.
 * @throws {SallyportError} `not_found`, `network_failed`, `source_too_large`; `PolicyViolationError` `address_refused`.
 */
export async function webGet(wanted: WebRequest, ports: WebPorts): Promise<Buffer> {
  const limits = { ...WEB_LIMITS, ...ports.limits };
  const deadline = AbortSignal.timeout(limits.totalMs);
  const signal = wanted.signal ? AbortSignal.any([wanted.signal, deadline]) : deadline;
  let url = wanted.url;
  for (let hop = 0; hop <= limits.redirects; hop++) {
    // What the operator said of the registry's host says nothing about where it sends us.
    const own = wanted.private && url.host === wanted.url.host && url.protocol === wanted.url.protocol;
    const answer = await once(url, { ...wanted, private: own, signal }, ports, limits);
    if (Buffer.isBuffer(answer)) return answer;
    const next = URL.parse(answer.location, url.href);
    if (next === null) throw failed(url, "It redirects to what is no address.");
    if (next.protocol !== "https:" && !(wanted.private && next.origin === wanted.url.origin)) {
      throw refused(next, "It redirects from a safe connection to an unsafe one.");
    }
    url = next;
  }
  throw failed(wanted.url, `It redirects more than ${limits.redirects} times.`);
}

async function once(
  url: URL,
  wanted: Omit<WebRequest, "url">,
  ports: WebPorts,
  limits: WebLimits,
): Promise<Buffer | { readonly location: string }> {
  checkUrl(url, wanted.private);
  const literal = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(literal) !== 0) checkAddress(url, literal, wanted.private, ports);
  const agent = agentFor(url, wanted.private, ports, limits);
  try {
    const answer = await request(url, {
      dispatcher: agent,
      method: "GET",
      headers: { accept: wanted.accept ?? "*/*", "accept-encoding": "identity", "user-agent": "sallyport" },
      signal: wanted.signal ?? null,
    });
    const { statusCode, headers, body } = answer;
    if ([301, 302, 303, 307, 308].includes(statusCode)) {
      body.on("error", () => undefined).destroy();
      const location = headers["location"];
      if (typeof location !== "string") throw failed(url, "It redirects to nowhere.");
      return { location };
    }
    if (statusCode !== 200) {
      body.on("error", () => undefined).destroy();
      throw statusCode === 404 || statusCode === 410
        ? missing(url)
        : failed(url, `It answered with status ${statusCode}.`);
    }
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") throw failed(url, "It sends a compressed answer, unasked.");
    const stated = typeof headers["content-length"] === "string" ? Number(headers["content-length"]) : undefined;
    if (stated !== undefined && stated > wanted.maxBytes) throw tooLarge(url, wanted.maxBytes, stated);
    const bytes = await collect(url, body, wanted.maxBytes, limits);
    if (stated !== undefined && stated !== bytes.length) throw failed(url, "It sent another length than it stated.");
    return bytes;
  } catch (error) {
    throw error instanceof SallyportError ? error : causeOf(url, error);
  } finally {
    await agent.destroy().catch(() => undefined);
  }
}

async function collect(url: URL, body: AsyncIterable<unknown>, maxBytes: number, limits: WebLimits): Promise<Buffer> {
  const started = performance.now();
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) throw failed(url, "It sent no bytes.");
    total += chunk.length;
    if (total > maxBytes) throw tooLarge(url, maxBytes, undefined);
    const elapsed = performance.now() - started;
    if (elapsed > limits.graceMs && total < (elapsed / 1000) * limits.bytesPerSecond) {
      throw failed(url, `It sends slower than ${limits.bytesPerSecond} bytes a second.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** One connection, to addresses that were checked. The name is resolved once, here. */
function agentFor(url: URL, isPrivate: boolean, ports: WebPorts, limits: WebLimits): Agent {
  return new Agent({
    connections: 1,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.idleMs,
    bodyTimeout: limits.idleMs,
    connect: {
      timeout: limits.connectMs,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      ...(ports.certificateAuthorities ? { ca: [...ports.certificateAuthorities] } : {}),
      lookup(host, options, callback) {
        void (async () => {
          try {
            const found = ports.resolve ? await ports.resolve(host) : await resolveName(host);
            for (const address of found) checkAddress(url, address, isPrivate, ports);
            const usable = found.map((address) => ({ address, family: isIP(address) }));
            const [first] = usable;
            if (first === undefined) throw failed(url, "Its name leads nowhere.");
            if (options.all === true) callback(null, usable);
            else callback(null, first.address, first.family);
          } catch (error) {
            callback(error instanceof Error ? error : new Error("The name could not be resolved."), "", 0);
          }
        })();
      },
    },
  });
}

async function resolveName(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);
}

function checkUrl(url: URL, isPrivate: boolean): void {
  if (url.username !== "" || url.password !== "") throw refused(url, "An address with a password in it is not taken.");
  if (url.protocol === "https:" || (url.protocol === "http:" && isPrivate)) return;
  throw refused(
    url,
    url.protocol === "http:"
      ? "Plain HTTP is taken only from a registry that was added with --private."
      : "Only HTTPS is taken.",
  );
}

function checkAddress(url: URL, address: string, isPrivate: boolean, ports: WebPorts): void {
  const kind = ports.classify(address);
  if (kind === "public" || (isPrivate && ADMISSIBLE.has(kind))) return;
  throw refused(url, `It leads to an address of the kind "${kind}".`);
}

function shown(url: URL): string {
  return displayLine(`${url.origin}${url.pathname}`, 300);
}

function refused(url: URL, detail: string): PolicyViolationError {
  return new PolicyViolationError("address_refused", `${shown(url)} may not be fetched.`, {
    detail,
    fix: "If this registry really is one of your own network, remove it and add it again with --private.",
    data: { url: shown(url) },
  });
}

function missing(url: URL): SallyportError {
  return new SallyportError("not_found", `There is no ${shown(url)}.`, {
    detail: "The server answered that it does not have it.",
    fix: "Check the address of the registry: sallyport registry list",
  });
}

function failed(url: URL, detail: string, cause?: unknown): SallyportError {
  return new SallyportError("network_failed", `${shown(url)} could not be fetched.`, {
    detail,
    fix: "Check the network and the address, and try again.",
    cause,
  });
}

function tooLarge(url: URL, maxBytes: number, stated: number | undefined): SallyportError {
  return new SallyportError("source_too_large", `${shown(url)} is over ${maxBytes} bytes.`, {
    detail: stated === undefined ? "The server went on sending." : `The server states ${stated} bytes.`,
    fix: "Nothing was kept. Tell whoever keeps the registry.",
    data: { expected: maxBytes, ...(stated === undefined ? {} : { actual: stated }) },
  });
}

function causeOf(url: URL, error: unknown): SallyportError {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError" || name === "AbortError") return failed(url, "It took too long.", error);
  if (code?.endsWith("TIMEOUT")) return failed(url, "The server fell silent.", error);
  return failed(url, `The connection failed (${code ?? "unknown reason"}).`, error);
}
