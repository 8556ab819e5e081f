import fc from "fast-check";

/** A line that a stranger sends, before it is known which ids are in use. */
export type Template =
  | { readonly kind: "answer"; readonly which: number; readonly pool: Pool; readonly body: AnswerBody }
  | { readonly kind: "request"; readonly step: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "note"; readonly method: string; readonly params: unknown }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "mutant"; readonly of: Template; readonly edits: readonly Edit[] };

export type Pool = "waiting" | "given up" | "answered" | "any";
interface AnswerBody {
  readonly result?: unknown;
  readonly error?: unknown;
}
interface Edit {
  readonly at: number;
  readonly act: "replace" | "insert" | "delete" | "double";
  readonly byte: number;
}

/** The ids that a stranger can know of. */
export interface Ids {
  readonly pools: Readonly<Record<Pool, readonly number[]>>;
  /** The greatest id of its own that it used. */
  readonly lastOwn: number;
}

const word = fc.constantFrom("a", "b", "call", "output", "x y", "é", "\u2028", "😀", "constructor", "toString", "");
export const smallJson: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<unknown>(null, true, 0, -0, 1, -1, 1.5, 2 ** 53, 1e300, "", "a", {}, []) },
  { weight: 1, arbitrary: fc.array(fc.oneof(fc.integer(), word), { maxLength: 3 }) },
  { weight: 2, arbitrary: fc.dictionary(word, fc.oneof(fc.integer(), word, fc.constant(null)), { maxKeys: 3 }) },
);
const params = fc.oneof(
  { weight: 5, arbitrary: fc.dictionary(word, smallJson, { maxKeys: 3 }) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const goodError = fc.record(
  { code: fc.constantFrom(-32000, -32601, 0, 1e300), message: word, data: smallJson },
  { requiredKeys: ["code", "message"] },
);

/** Answers and messages of the right form, with ids that fit or do not. */
export const wellFormed: fc.Arbitrary<Template> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      which: fc.nat(7),
      pool: fc.constantFrom<Pool>("waiting", "waiting", "waiting", "waiting", "waiting", "given up"),
      body: fc.oneof(
        smallJson.map((result) => ({ result: result ?? null })),
        goodError.map((error) => ({ error })),
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("request" as const),
      step: fc.constantFrom(1, 1, 1, 1, 2, 1000),
      method: fc.constantFrom("fetch", "kv.get", "", "é", "x".repeat(64)),
      params,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("note" as const),
      method: fc.constantFrom("log", "progress", ""),
      params,
    }),
  },
);

/** What parsers, and people who write them, get wrong. */
export const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "\r",
  "null",
  "[]",
  "{}",
  "\ufeff{}",
  '{"jsonrpc":"2.0","id":1e0,"result":null}',
  '{"jsonrpc":"2.0","id":1e400,"result":null}',
  '{"jsonrpc":"2.0","id":9007199254740993,"result":null}',
  '{"jsonrpc":"2.0","id":"1","result":null}',
  '{"jsonrpc":"2.0","id":[1],"result":null}',
  '{"jsonrpc":"2.0","id":null,"result":null}',
  '{"jsonrpc":"2.0","id":-0,"result":null}',
  '{"jsonrpc":"2.0","id":01,"result":null}',
  '{"jsonrpc":"2.0","id":1,"id":2,"result":null}',
  '{"jsonrpc":"2.0","id":1,"result":null,"error":null}',
  '{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}',
  '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","stack":""}}',
  '{"jsonrpc":"2.0","id":1}',
  '{"jsonrpc":"2.0","method":null,"id":1}',
  '{"jsonrpc":"2.0","method":"log","params":[]}',
  '{"jsonrpc":"2.0","method":"log","params":null}',
  '{"jsonrpc":"2.0","method":"log","params":{},"extra":1}',
  '{"jsonrpc":2.0,"method":"log"}',
  '{"jsonrpc":"2.0","method":"log","params":{"__proto__":{}}}',
  '{"jsonrpc":"2.0","method":"log","params":{"\\u005f_proto__":1}}',
  '{"jsonrpc":"2.0","method":"log","params":{"constructor":{"prototype":1}}}',
  '{"jsonrpc":"2.0","method":"log","params":{"constructor":{"name":1}}}',
  '{"__proto__":null,"jsonrpc":"2.0","method":"log"}',
  '{"jsonrpc":"2.0","method":"log","params":{"a":"\\ud800"}}',
  '{"jsonrpc":"2.0","method":"log","params":{"a":"\u0000"}}',
  `{"jsonrpc":"2.0","method":"${"m".repeat(65)}"}`,
  `{"jsonrpc":"2.0","method":"log","params":{"a":${"[".repeat(40)}${"]".repeat(40)}}}`,
  `{"jsonrpc":"2.0","method":"log","params":{"a":"${"[".repeat(40)}"}}`,
  `{"jsonrpc":"2.0","method":"log","params":{"a":"\\"${"[".repeat(40)}"}}`,
  `[${"[".repeat(200)}`,
  '[{"jsonrpc":"2.0","method":"log"}]',
  '{"jsonrpc":"2.0","method":"log"}\r',
  '{"jsonrpc":"2.0","method":"log"} trailing',
  ' \t{ "jsonrpc" : "2.0" , "method" : "log" } ',
];

/** Bytes that are no UTF-8, in the middle of what would else be a lawful line. */
export const ODD_BYTES: readonly Uint8Array[] = [
  [0xff],
  [0xc3],
  [0xc0, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x90, 0x80, 0x80],
].map((bytes) =>
  Buffer.concat([
    Buffer.from('{"jsonrpc":"2.0","method":"log","params":{"a":"'),
    Buffer.from(bytes),
    Buffer.from('"}}'),
  ]),
);

/** A lawful line of exactly so many bytes. */
export function lineOf(bytes: number, char = "x"): Template {
  const empty = Buffer.byteLength('{"jsonrpc":"2.0","method":"log","params":{"a":""}}');
  const fill = char.repeat(Math.floor((bytes - empty) / Buffer.byteLength(char)));
  const rest = "x".repeat(bytes - empty - Buffer.byteLength(fill));
  return { kind: "text", text: `{"jsonrpc":"2.0","method":"log","params":{"a":"${fill}${rest}"}}` };
}

const anyLine: fc.Arbitrary<Template> = fc.oneof(
  fc.record({ kind: fc.constant("text" as const), text: fc.constantFrom(...ODD_TEXTS) }),
  fc.record({ kind: fc.constant("bytes" as const), bytes: fc.constantFrom(...ODD_BYTES) }),
  fc
    .tuple(fc.integer({ min: 295, max: 305 }), fc.constantFrom("x", "é", "😀"))
    .map(([bytes, char]) => lineOf(bytes, char)),
  fc.record({ kind: fc.constant("text" as const), text: smallJson.map((value) => JSON.stringify(value) ?? "x") }),
  fc.record({ kind: fc.constant("text" as const), text: fc.constantFrom("x", "é", "{").map((c) => c.repeat(400)) }),
  fc.record({ kind: fc.constant("bytes" as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({
    kind: fc.constant("answer" as const),
    which: fc.nat(7),
    pool: fc.constantFrom<Pool>("answered", "any"),
    body: fc.constant({ result: null }),
  }),
  fc.record({
    kind: fc.constant("request" as const),
    step: fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER, 2 ** 53, 0.5),
    method: fc.constant("kv.get"),
    params,
  }),
  fc.record({
    kind: fc.constant("mutant" as const),
    of: wellFormed,
    edits: fc.array(
      fc.record({
        at: fc.nat(200),
        act: fc.constantFrom("replace" as const, "insert" as const, "delete" as const, "double" as const),
        byte: fc.oneof(fc.nat(255), fc.constantFrom(0x0a, 0x22, 0x2c, 0x30, 0x5c, 0x7b, 0x7d, 0x80, 0xc3, 0xff)),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  }),
);

/** Mostly of the right form: a stranger that is thrown out at once shows little. */
export const template: fc.Arbitrary<Template> = fc.oneof(
  { weight: 12, arbitrary: wellFormed },
  { weight: 1, arbitrary: anyLine },
);

/** The bytes of a line, without its end. */
export function render(line: Template, ids: Ids): Buffer {
  switch (line.kind) {
    case "text":
      return Buffer.from(line.text);
    case "bytes":
      return Buffer.from(line.bytes);
    case "answer": {
      const pool = ids.pools[line.pool];
      const id = pool[line.which % Math.max(1, pool.length)] ?? line.which;
      return json({ jsonrpc: "2.0", id, ...line.body });
    }
    case "request":
      return json({ jsonrpc: "2.0", id: ids.lastOwn + line.step, method: line.method, params: line.params });
    case "note":
      return json({ jsonrpc: "2.0", method: line.method, params: line.params });
    case "mutant":
      return line.edits.reduce(edit, render(line.of, ids));
  }
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function edit(bytes: Buffer, { at, act, byte }: Edit): Buffer {
  const place = at % (bytes.length + 1);
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
  switch (act) {
    case "replace":
      return Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
    case "insert":
      return Buffer.concat([before, Buffer.of(byte), after]);
    case "delete":
      return Buffer.concat([before, after.subarray(1)]);
    case "double":
      return Buffer.concat([before, after.subarray(0, 8), after]);
  }
}
