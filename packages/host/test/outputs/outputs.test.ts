import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Credentials, openCredentials } from "../../src/host/credentials.ts";
import { createOutputGate } from "../../src/host/outputs.ts";
import type { CallRoute, Checker } from "../../src/host/route.ts";
import { canonicalJson, LIMITS, sha256, SallyportError, visibleText } from "../../src/kernel/index.ts";
import { compileSchema, type JsonSchema } from "../../src/manifest/index.ts";
import { createRedactor } from "../../src/secrets/index.ts";

let credentials: Credentials;
let masks = true;
const SECRET = "hunter22-and-more";
beforeAll(async () => {
  credentials = await openCredentials();
});

const gate = () =>
  createOutputGate({
    redactor: createRedactor(() => [{ name: "KEY", value: SECRET }]),
    credentials,
    masks: () => masks,
  });

/** What of a route the gate looks at. */
function route(schema?: JsonSchema): CallRoute {
  const output: Checker | null = schema === undefined ? null : compileSchema(schema);
  return { name: "demo__tool", output } as Partial<CallRoute> as CallRoute;
}
const accept = (output: unknown, schema?: JsonSchema) =>
  gate().accept(route(schema), { output, bytes: Buffer.byteLength(JSON.stringify(output)) });
function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SallyportError) return error.code;
    throw error;
  }
  return "none";
}

describe("the answer of a tool", () => {
  it("leaves as it came when there is nothing about it, with its digest", () => {
    const output = { text: "Grüße 日本 ✨", list: [1, null, true] };
    const accepted = accept(output);
    expect(accepted.output).toBe(output);
    expect(accepted.changes).toBeUndefined();
    expect(accepted.digest).toBe(sha256(canonicalJson(output)));
  });

  it("is held to its output schema before anything else [S2-32] [S4-33]", () => {
    const schema: JsonSchema = { type: "object", properties: { n: { type: "number" } }, required: ["n"] };
    expect(codeOf(() => accept({ n: "1" }, schema))).toBe("invalid_output");
    expect(accept({ n: 1 }, schema).output).toEqual({ n: 1 });
  });

  it("loses secrets and credentials, in keys too, and says what it lost [S4-34]", () => {
    const token = `ghp_${"a1B2".repeat(9)}`;
    const accepted = accept({ a: `my ${SECRET}`, [token]: [token], b64: Buffer.from(SECRET).toString("base64") });
    expect(accepted.output).toEqual({
      a: "my [secret KEY]",
      "[removed: a GitHub token]": ["[removed: a GitHub token]"],
      b64: "[secret KEY]U=",
    });
    expect(accepted.changes).toEqual({ removed: ["a GitHub token"] });
    expect(accepted.digest).toBe(sha256(canonicalJson(accepted.output)));
  });

  it("keeps credentials when the operator says so, and never secrets of the vault", () => {
    const token = `ghp_${"a1B2".repeat(9)}`;
    masks = false;
    try {
      expect(accept(`${token} ${SECRET}`).output).toBe(`${token} [secret KEY]`);
      expect(gate().redactText(token)).toBe(token);
    } finally {
      masks = true;
    }
  });

  it("hides nothing: bidirectional, invisible and control characters are shown, in keys too", () => {
    const accepted = accept({ "a\u202eb": "x\u200by\u0007\n\tz\u{e0041}" });
    expect(accepted.output).toEqual({ "a\\u{202e}b": "x\\u{200b}y\\u{7}\n\tz\\u{e0041}" });
    expect(accepted.changes).toEqual({ escaped: true });
  });

  it("cuts a text that is too long, at a whole character, and says how much is left [S4-35]", () => {
    const text = `a${"ü".repeat(LIMITS.outputBytes / 2 + 500)}`;
    const accepted = accept(text);
    const left = Buffer.byteLength(String(accepted.output));
    expect(text.startsWith(String(accepted.output))).toBe(true);
    expect(left).toBe(LIMITS.outputBytes - 1);
    expect(accepted.changes).toEqual({ truncated: { bytes: left, of: Buffer.byteLength(text) } });
  });

  it("cuts no secret and no credential in two", () => {
    const token = `ghp_${"a1B2".repeat(9)}`;
    for (const hidden of [SECRET, token]) {
      for (const inside of [1, 5, hidden.length - 1]) {
        const before = " ".repeat(LIMITS.outputBytes - inside);
        const { output } = accept(`${before}${hidden} and more`);
        expect(String(output).slice(before.length)).not.toMatch(/hu|gh|a1|B2/);
      }
    }
  });

  it("refuses anything else that is too long: a part of it would say something else [S4-35]", () => {
    const long = "x".repeat(LIMITS.outputBytes + 1);
    expect(codeOf(() => accept({ text: long }))).toBe("output_too_large");
    expect(codeOf(() => accept(long, { type: "string" }))).toBe("output_too_large");
    expect(codeOf(() => accept("half \ud800"))).toBe("invalid_output");
  });

  it("is no longer than that either once what was hidden in it is shown", () => {
    const hidden = "\u200b".repeat(LIMITS.outputBytes / 4);
    const { output, changes } = accept(hidden);
    expect(Buffer.byteLength(String(output))).toBe(LIMITS.outputBytes);
    expect(changes).toEqual({ escaped: true, truncated: { bytes: LIMITS.outputBytes, of: 2 * LIMITS.outputBytes } });
    expect(codeOf(() => accept({ text: hidden }))).toBe("output_too_large");
  });

  it("is the same when it passes again, and holds nothing hidden, whatever it was", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, text) => {
        const output = [value, text.toWellFormed()];
        const once = accept(output).output;
        expect(accept(once).output).toEqual(once);
        expect(JSON.stringify(once)).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u);
      }),
      { numRuns: 200 },
    );
  });
});

describe("words of a failure", () => {
  it("are clean, visible and short", () => {
    const { message, detail } = gate().words(`no ${SECRET}\u202e`, `${"y".repeat(1990)}${SECRET}`);
    expect(message).toBe("no [secret KEY]\\u{202e}");
    expect(detail).toBe(`${"y".repeat(1990)}[secret KE…`);
  });

  it("keep the kind of the error", () => {
    const error = new SallyportError("initialize_failed", "It failed.", { detail: SECRET, fix: "Mend it." });
    expect(gate().error(error)).toMatchObject({ code: "initialize_failed", detail: "[secret KEY]", fix: "Mend it." });
    const data = { stderr: `at ${SECRET}\u202e`, path: "a" };
    expect(gate().error(new SallyportError("initialize_failed", "It failed.", { data })).data).toEqual({
      stderr: "at [secret KEY]\\u{202e}",
      path: "a",
    });
    const clean = new SallyportError("initialize_failed", "It failed.", { data: { path: "a" } });
    expect(gate().error(clean)).toBe(clean);
  });
});

describe("visible text", () => {
  it("keeps what ordinary words and emoji are made of", () => {
    for (const text of [
      "line one\r\nline two\ttab",
      "☀️ and ❤️ and 1️⃣",
      "\u{1f468}‍\u{1f469}‍\u{1f467} \u{1f3f3}️‍\u{1f308} \u{1f44d}\u{1f3fd}",
      "می‌خواهم",
      "क्‍ष",
      "Ünïcödé 日本語 العربية",
    ])
      expect(visibleText(text)).toBe(text);
  });

  it("shows what stands anywhere else", () => {
    expect(visibleText("pass\u200cword")).toBe("pass\\u{200c}word");
    expect(visibleText("a\ufe0fb")).toBe("a\\u{fe0f}b");
    expect(visibleText("over\rwritten")).toBe("over\\u{d}written");
    expect(visibleText("x\u200dy")).toBe("x\\u{200d}y");
    expect(visibleText("☀\ufe0f\ufe0f\ufe0f")).toBe("☀\ufe0f\\u{fe0f}\\u{fe0f}");
    expect(visibleText("half \ud800")).toBe("half \\u{fffd}");
    // Behind a digit it could carry a bit for each: 1, 10, 11.
    expect(visibleText("1\ufe0f0\ufe0e#\ufe0f")).toBe("1\\u{fe0f}0\\u{fe0e}#\\u{fe0f}");
  });
});
