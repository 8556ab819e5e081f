import assert from "node:assert/strict";
import { posix } from "node:path";
import { domainToASCII, parse as legacyParse } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classifyAddress } from "../../src/broker/index.ts";
import { parseTarget, type Target, targetUrl } from "../../src/broker/target.ts";
import { canonicalHost, covers, networkScope, type NetworkScope, type Wish } from "../../src/capability/index.ts";
import { SallyportError } from "../../src/kernel/index.ts";
import { runs } from "./campaign.ts";

const hostPart = fc.constantFrom(
  ..."api.test|API.test|sub.api.test|x.sub.api.test|api.test.|api.test..|evil.test|api.test.evil.test|xapi.test|evilapi.test|api-test|api.test%00|api.test%2eevil.test".split(
    "|",
  ),
  ..."127.0.0.1|127.1|2130706433|0x7f.1|0177.0.0.1|[::1]|[::ffff:7f00:1]|[::ffff:127.0.0.1]|[0:0:0:0:0:0:0:1]|[fe80::1%25eth0]|::1".split(
    "|",
  ),
  ..."münchen.test|xn--mnchen-3ya.test|ａpi.test|api。test|аpi.test|exam\u00adple.test|\u202eapi.test|ß.test|-a.test|a_b.test|*.api.test|*".split(
    "|",
  ),
  "",
  " api.test",
  "api.test\\@evil.test",
  "api.test\t",
);
const port = fc.constantFrom("", "", "", ":80", ":443", ":8080", ":0", ":", ":080", ":65536", ":80:80", ":8o");
const user = fc.constantFrom("", "", "", "", "", "user@", "a:b@", "@", "api.test@", "evil.test#@");
const pathSegment = fc.constantFrom(
  ..."v1|v1|v2|a|b|..|.|%2e%2e|%2E.|%252e%252e|%2f|a%2fb|%5c|\\|%00|%0a|*|**|;|..;|.;x|a;x|é|%C3%A9|%c3%a9|%ff|~|%7e|+|%20| ".split(
    "|",
  ),
  "",
);
const path = fc.array(pathSegment, { maxLength: 5 }).map((parts) => (parts.length === 0 ? "" : `/${parts.join("/")}`));
const tail = fc.constantFrom("", "", "?q=1", "?/../x", "?@evil.test", "#f", "#@evil.test/", "?a#b");
const scheme = fc.constantFrom(
  "http://",
  "http://",
  "https://",
  "HTTP://",
  "http:/",
  "http:///",
  "http:\\\\",
  "//",
  "ws://",
  "file://",
);
const url = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(scheme, user, hostPart, port, path, tail).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.webUrl({ withQueryParameters: true, withFragments: true }) },
);

function read(text: string): Target | null {
  try {
    return parseTarget(text, 4096);
  } catch (error) {
    assert(error instanceof SallyportError && error.code === "usage", String(error));
    return null;
  }
}

/** RFC 3986, appendix B: as plain as a reader of URLs can be. */
const PLAIN = /^([^:/?#]+):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?$/;

describe("a URL that is let through", () => {
  it("is read alike by four readers: ours, the WHATWG's, Node's old one and the RFC's own pattern [S0-17]", () => {
    let accepted = 0;
    fc.assert(
      fc.property(url, (text) => {
        const target = read(text);
        if (target === null) return;
        accepted++;
        const modern = new URL(text);
        assert.deepEqual(
          [`${target.scheme}:`, target.path, target.query],
          [modern.protocol, modern.pathname, modern.search],
        );
        assert.equal(target.host, modern.hostname.replace(/\.$/, ""));
        assert.equal(target.port, Number(modern.port || { http: 80, https: 443 }[target.scheme]));
        assert.equal(modern.username + modern.password, "");
        const old = legacyParse(text);
        assert.equal(old.auth, null);
        if (/^[\x21-\x5a\x5c-\x7e]*$/.test(text))
          assert.equal(target.host.replace(/^\[|\]$/g, ""), (old.hostname ?? "").replace(/\.$/, ""));
        const [, , authority = ""] = PLAIN.exec(text) ?? [];
        const bare = authority.replace(/:\d*$/, "").replace(/\.$/, "");
        assert(bare.startsWith("[") || domainToASCII(bare) === target.host, `${bare} is not ${target.host}`);
        // What goes out is one spelling: reading it again changes nothing.
        assert.deepEqual(read(targetUrl(target)), target);
      }),
      {
        ...runs(2000),
        examples: [["http://api.test/v1/a"], ["http://api.test:80\\@evil.test/"], ["http://api.test./"]],
      },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

/** Whether a scope states a target, told from the parts of both as a server would see them. */
function states(scope: NetworkScope, target: Target, method: string): boolean {
  const labels = target.host.split(".");
  const wanted = scope.host.split(".");
  const wild = wanted[0] === "*";
  const isName = !/^\d+$/.test(labels.at(-1) ?? "") && !target.host.startsWith("[");
  const sameHost = wild
    ? isName &&
      labels.length >= wanted.length &&
      labels.slice(1 - wanted.length).join(".") === wanted.slice(1).join(".")
    : scope.host === target.host;
  if (!sameHost || scope.port !== target.port || scope.scheme !== target.scheme) return false;
  if (!scope.methods.includes("*") && !scope.methods.includes(method)) return false;
  // A server may look at the path as it is, decoded, without parameters behind semicolons, or with its dots resolved.
  const decoded = decodeURIComponent(target.path);
  const bare = decoded.replaceAll(/;[^/]*/g, "");
  const seen = [decoded, posix.normalize(decoded), ...(decoded.includes("/..;") ? [posix.normalize(bare)] : [])];
  return scope.paths.some((pattern) => seen.every((one) => fits(pattern, one)));
}

function fits(pattern: string, path_: string): boolean {
  const wanted = pattern.split("/").map(decodeURIComponent);
  const found = path_.split("/");
  const rest = wanted.at(-1) === "**";
  if (rest ? found.length < wanted.length - 1 : found.length !== wanted.length) return false;
  return wanted.every((segment, at) => (rest && at === wanted.length - 1) || segment === "*" || segment === found[at]);
}

const scopes = fc
  .record({
    host: fc.constantFrom("api.test", "*.api.test", "münchen.test", "127.0.0.1", "[::1]", "*.xn--mnchen-3ya.test"),
    port: fc.constantFrom(undefined, 80, 8080),
    scheme: fc.constantFrom("http", "https"),
    methods: fc.constantFrom(undefined, ["GET"], ["post", "put"]),
    paths: fc.constantFrom<string[] | undefined>(
      undefined,
      ["/v1/**"],
      ["/v1/*"],
      ["/v1"],
      ["/v1/*/b", "/"],
      ["/é/*"],
      ["/*/a/**"],
    ),
  })
  .map((parts) => networkScope(parts));

const everywhere = networkScope({ host: "api.test", scheme: "http", paths: ["/v1/**"] });
/** Saved: ways around a path that servers have fallen for. */
const SAVED = [
  "/v1/../v2",
  "/v1/%2e%2e/v2",
  "/v1/..%2fv2",
  "/v1/..;/v2",
  "/v1/..;x=1/v2",
  "/v1/.;/../v2",
  "/v1//../../v2",
  "/v1/%2e%2e;/v2",
  "/v1/a\\..\\..\\v2",
  "/v1%2f..%2fv2",
  "/v1/%00/../v2",
].map((where): [[NetworkScope, string, string]] => [[everywhere, `http://api.test${where}`, "GET"]]);

/** URLs that a scope admits, with at most a few things changed. */
function near(scope: NetworkScope): fc.Arbitrary<[NetworkScope, string, string]> {
  const rarely = <T>(good: T, odd: fc.Arbitrary<T>): fc.Arbitrary<T> =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: odd });
  const segments = fc
    .constantFrom(...scope.paths)
    .chain((pattern) =>
      fc.tuple(
        ...pattern
          .split("/")
          .slice(1)
          .map((part) => rarely(part.replace("**", "a/b").replace("*", "a"), pathSegment)),
        rarely("", path),
      ),
    )
    .map((parts) => `/${parts.slice(0, -1).join("/")}${parts.at(-1)}`);
  return fc
    .tuple(
      rarely(scope.scheme, fc.constantFrom("http", "https")),
      rarely(scope.host.replace("*", "sub"), hostPart),
      rarely(`:${scope.port}`, port),
      segments,
    )
    .map(([by, host, at, where]) => `${by}://${host}${at}${where}`)
    .chain((text) =>
      fc.tuple(
        fc.constant(scope),
        fc.constant(text),
        rarely(scope.methods[0]?.replace("*", "GET") ?? "", fc.constantFrom("GET", "POST", "PUT")),
      ),
    );
}

describe("a network grant", () => {
  it("is never wider than it states, whatever the URL [S0-15] [S0-17] [S1-17]", () => {
    let covered = 0;
    fc.assert(
      fc.property(scopes.chain(near), ([scope, text, method]) => {
        const target = read(text);
        if (target === null) return;
        const { host, port: at, scheme: by, path: where } = target;
        const wish: Wish = { capability: "network", host, port: at, scheme: by, method, path: where };
        if (!covers(scope, wish)) return;
        covered++;
        assert(states(scope, target, method), `${JSON.stringify(scope)} does not state ${method} ${text}`);
      }),
      { ...runs(3000), examples: SAVED },
    );
    expect(covered).toBeGreaterThan(100);
  });
});

describe("a host name", () => {
  it("that is let through is its own only spelling", () => {
    fc.assert(
      fc.property(
        fc.oneof(hostPart, fc.domain(), fc.string({ unit: "binary", maxLength: 20 }), fc.ipV4(), fc.ipV6()),
        (text) => {
          let host: string;
          try {
            host = canonicalHost(text);
          } catch (error) {
            assert(error instanceof SallyportError && error.code === "usage");
            return;
          }
          assert.equal(canonicalHost(host.toUpperCase()), host);
          if (!host.startsWith("[")) assert.equal(domainToASCII(text.replace(/\.$/, "")), host);
          assert.equal(new URL(`https://${text}:1/x`).hostname.replace(/\.$/, ""), host);
        },
      ),
      runs(2000),
    );
  });
});

type Range = readonly [number: bigint, bits: number];
const v4Range = (text: string): Range => {
  const [address = "", bits] = text.split("/");
  return [address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n), Number(bits)];
};
/** What must be refused, from the list that the design was made from, and by the registries of special addresses. */
const V4 =
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4"
    .split(" ")
    .map(v4Range);
const V6: readonly Range[] = [
  [0n, 96],
  [0xfc00n << 112n, 7],
  [0xfe80n << 112n, 10],
  [0xff00n << 112n, 8],
];
const within = (value: bigint, size: number, [start, bits]: Range): boolean =>
  value >> BigInt(size - bits) === start >> BigInt(size - bits);

/** One address in several spellings. */
function spellings(value: bigint): string[] {
  const words = Array.from({ length: 8 }, (_, at) => (value >> BigInt(112 - 16 * at)) & 0xffffn);
  const full = words.map((word) => word.toString(16).padStart(4, "0")).join(":");
  const short = words.map((word) => word.toString(16)).join(":");
  const low = [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join(".");
  const dotted = `${words
    .slice(0, 6)
    .map((word) => word.toString(16))
    .join(":")}:${low}`;
  return [full, short, short.toUpperCase(), dotted, new URL(`http://[${short}]/`).hostname.slice(1, -1)];
}

describe("an address", () => {
  const bits = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
  const special = fc.constantFrom(
    0n,
    0xffffn << 32n,
    0x64ff9bn << 96n,
    0x2002n << 112n,
    0xfc00n << 112n,
    0xfe80n << 112n,
    0xff00n << 112n,
    0x2001n << 112n,
  );
  const low = fc.bigInt({ min: 0n, max: 2n ** 80n - 1n });

  it("is one thing in every spelling, and never public where the list says no [S1-17]", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bits,
          fc.tuple(special, low).map(([top, rest]) => top | rest),
          fc.tuple(special, fc.ipV4()).map(([top, v4]) => top | v4Range(`${v4}/32`)[0]),
        ),
        (value) => {
          const kinds = new Set(spellings(value).map(classifyAddress));
          assert.equal(kinds.size, 1, `${[...kinds].join()} for ${spellings(value)[1]}`);
          const isPublic = kinds.has("public");
          if (V6.some((range) => within(value, 128, range))) assert(!isPublic, spellings(value)[1]);
          for (const [prefix, length, shift] of [
            [0xffffn, 96, 0n],
            [0x64ff9bn << 64n, 96, 0n],
            [0x2002n, 16, 80n],
          ] as const) {
            if (value >> BigInt(128 - length) !== prefix) continue;
            const inner = (value >> shift) & 0xffffffffn;
            if (V4.some((range) => within(inner, 32, range)))
              assert(!isPublic, `${spellings(value)[1]} hides an IPv4 address`);
          }
        },
      ),
      runs(2000),
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const [value] = v4Range(`${text}/32`);
        if (V4.some((range) => within(value, 32, range))) assert.notEqual(classifyAddress(text), "public", text);
      }),
      runs(2000),
    );
  });
});
