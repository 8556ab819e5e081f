import fc from "fast-check";
import { smallJson, type Template, wellFormed } from "./lines.ts";

/** What the conversation's plugin was granted, and the names of what lies around it. */
export const GRANTED = { host: "api.test", address: "93.184.216.34", port: 80, secret: "fuzz-secret-value-1" };
export const CANARY = "CANARY-not-for-plugins";

/** One odd value in a request is a finding; five of them are noise. */
function mostly<T>(good: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 8, arbitrary: good }, { weight: 1, arbitrary: odd });
}

const call = fc.oneof(
  { weight: 8, arbitrary: fc.constant("${call}") },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(null, "call-2", "call-99", "", 1, "host", "__proto__") },
);
const segment = mostly(
  fc.constantFrom("a", "open", "closed", "secret", "link", "..", "shared", "outside", "b"),
  fc.constantFrom(".", "", "\0", "%2e%2e", "%2f", "~", "\\", "${data}", "é", "e\u0301", "OPEN", "a\n", "x".repeat(300)),
);
const anyPath = fc
  .tuple(
    mostly(
      fc.constantFrom("${data}/open/", "${data}/", "${shared}/"),
      fc.constantFrom("/", "", "//", "${shared}", "${data}"),
    ),
    fc.oneof(
      fc.constantFrom(
        "",
        "a",
        "b",
        "b/c",
        "ok",
        "closed/secret",
        "../closed/secret",
        "../secret",
        "link/secret",
        "link",
      ),
      fc.array(segment, { maxLength: 4 }).map((parts) => parts.join("/")),
    ),
  )
  .map((parts) => parts.join(""))
  .map((text) => (text.length > 8 && text.endsWith("/") ? text.slice(0, -1) : text));
const path = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom("${shared}/ok", "${data}/open/a", "${data}/open/a", "${data}/open") },
  { weight: 2, arbitrary: anyPath },
);
const host = fc.constantFrom(
  "api.test",
  "api.test",
  "api.test",
  "api.test",
  "API.TEST",
  "api.test.",
  "api.test:80",
  "api.test:81",
  "api.test:0080",
  "api.test@evil.test",
  "evil.test",
  "sub.api.test",
  "api.test.evil.test",
  "api.test%2eevil.test",
  "api.test\\@evil.test",
  "api.test#@evil.test",
  "api.test?@evil.test",
  "a%70i.test",
  "аpi.test",
  "api。test",
  "127.0.0.1",
  "2130706433",
  "0x7f.1",
  "[::1]",
  "[::ffff:127.0.0.1]",
  "169.254.169.254",
  "metadata.google.internal",
  "localhost",
  "",
);
const urlPath = fc
  .array(
    fc.constantFrom(
      "v1",
      "v2",
      "a",
      "..",
      ".",
      "%2e%2e",
      "%2f",
      "%5c",
      "\\",
      "%00",
      "",
      "*",
      "**",
      ";",
      "é",
      "?q",
      "#f",
    ),
    { maxLength: 5 },
  )
  .map((parts) => `/${parts.join("/")}`);
const url = fc
  .tuple(
    fc.constantFrom(
      "http://",
      "https://",
      "HTTP://",
      "http:/",
      "http:",
      "//",
      "ftp://",
      "file://",
      " http://",
      "http://user@",
    ),
    host,
    urlPath,
  )
  .map((parts) => parts.join(""));
const base64 = fc.oneof(
  fc.constantFrom(
    "",
    "YQ==",
    "YQ=",
    "YR==",
    "Y Q=",
    "YQ==YQ==",
    "_-8=",
    Buffer.from(GRANTED.secret).toString("base64"),
  ),
  fc.string({ maxLength: 12 }),
);
const header = fc.tuple(
  fc.constantFrom(
    "accept",
    "host",
    "Host ",
    "x\r\ny",
    "content-length",
    "transfer-encoding",
    "connection",
    "cookie",
    "x-a",
    "__proto__",
    "",
  ),
  fc.constantFrom("a", "", "a\r\nb: c", "\u0000", "é", "evil.test", GRANTED.secret),
);
const name = fc.constantFrom("KEY", "OTHER", "__proto__", "");
const id = fc.constantFrom("s1", "u1", "", "__proto__", "stream_1", "1");
const size = mostly<unknown>(fc.constantFrom(0, 1, 10), fc.constantFrom<unknown>(-1, 1.5, 2 ** 53, null, "1"));
const key = fc.constantFrom("a", "b", "", "__proto__", "constructor", "x".repeat(600), "\u0000", "../a", "é");

const METHODS: Readonly<Record<string, fc.Arbitrary<object>>> = {
  fetch: fc.record({
    call,
    url: fc.oneof(fc.constantFrom("http://api.test/v1/a", "http://api.test/v1/", "http://API.test:80/v1/a?q=1"), url),
    method: mostly(fc.constant("GET"), fc.constantFrom("get", "POST", "CONNECT", "TRACE", "G T", "GET\r\n", "")),
    headers: mostly<[string, string][]>(fc.constant([]), fc.array(header, { minLength: 1, maxLength: 2 })),
    body: mostly(fc.constant(null), base64),
    upload: mostly(fc.constant(null), id),
    redirect: mostly(fc.constantFrom("follow", "manual", "error"), fc.constant("x")),
    secrets: mostly<string[]>(fc.constantFrom([], ["KEY"]), fc.array(name, { minLength: 1, maxLength: 2 })),
  }),
  "body.read": fc.record({ call, stream: id }),
  "body.cancel": fc.record({ call, stream: id }),
  "body.write": fc.record({ call, upload: id, data: base64, done: fc.boolean() }),
  "files.read": fc.record({ call, path, offset: size, length: size }),
  "files.write": fc.record({
    call,
    path,
    data: mostly(fc.constantFrom("", "YQ=="), base64),
    offset: mostly<unknown>(fc.constantFrom(null, 0), size),
  }),
  "files.list": fc.record({ call, path }),
  "files.stat": fc.record({ call, path }),
  "files.remove": fc.record({ call, path }),
  "files.mkdir": fc.record({ call, path }),
  "kv.get": fc.record({ call, key }),
  "kv.set": fc.record({ call, key, value: smallJson }),
  "kv.delete": fc.record({ call, key }),
  "kv.list": fc.record({ call, prefix: key }),
  exec: fc.record({
    call,
    command: mostly(fc.constantFrom("wc", "/usr/bin/wc"), fc.constantFrom("", "sh", "../wc", "__proto__", "wc\u0000")),
    args: mostly<unknown>(fc.constantFrom(["-w"], []), fc.constantFrom<unknown>(["-c"], ["\u0000"], [1], "x", null)),
    stdin: mostly<unknown>(fc.constant(null), base64),
    files: mostly<unknown>(
      fc.constant([]),
      fc.tuple(fc.record({ name: fc.constantFrom("a", "../a", "", "__proto__"), path })),
    ),
    timeout_ms: mostly<unknown>(fc.constantFrom(null, 1), size),
  }),
  "system.get": fc.record({ call, facet: fc.constantFrom("hostname", "load", "", "__proto__", "constructor") }),
};

/** Requests as the protocol's page has them, with values that are granted, nearly granted or not at all; some with a member too many. */
export const protocolRequest: fc.Arbitrary<Template> = fc.constantFrom(...Object.keys(METHODS)).chain((method) =>
  fc
    .tuple(METHODS[method] ?? fc.constant({}), mostly(fc.constant(null), fc.constantFrom("extra", "constructor")))
    .map(([params, extra]): Template => ({
      kind: "request",
      step: 1,
      method,
      params: extra === null ? params : { ...params, [extra]: 1 },
    })),
);

export const protocolNote: fc.Arbitrary<Template> = fc.oneof(
  fc.record({
    kind: fc.constant("note" as const),
    method: fc.constant("log"),
    params: fc.record(
      {
        call,
        level: fc.constantFrom("debug", "info", "error", "fatal"),
        message: fc.constantFrom("x", GRANTED.secret, "\u001b[2J"),
        fields: fc.oneof(fc.constant({ a: 1 }), smallJson),
      },
      { requiredKeys: ["call"] },
    ),
  }),
  fc.record({
    kind: fc.constant("note" as const),
    method: fc.constantFrom("progress"),
    params: fc.record({ call, progress: smallJson, total: smallJson, message: smallJson }, { requiredKeys: ["call"] }),
  }),
);

const output = fc.oneof(
  { weight: 6, arbitrary: smallJson.map((value) => ({ result: { output: value ?? null } })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ result: {} }, { result: null }, { error: { code: -32000, message: "no" } }),
  },
);
/** Answers to what the host asked: calls, mostly of the right form. */
export const protocolAnswer: fc.Arbitrary<Template> = fc.record({
  kind: fc.constant("answer" as const),
  which: fc.nat(3),
  pool: fc.constantFrom("waiting" as const, "waiting" as const, "waiting" as const, "given up" as const),
  body: output,
});

export const anyProtocolLine: fc.Arbitrary<Template> = fc.oneof(
  { weight: 20, arbitrary: protocolRequest },
  { weight: 4, arbitrary: protocolNote },
  { weight: 2, arbitrary: protocolAnswer },
  { weight: 1, arbitrary: wellFormed },
);
