import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { verifyExport } from "../../src/audit/index.ts";
import { canonicalJson, parseBoundedJson, SallyportError } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import { createRedactor, createStripper, secretForms } from "../../src/secrets/index.ts";
import { fill, temporaryLogs } from "../audit/log-home.ts";
import { runs } from "./campaign.ts";

/** Cuts, copies and overwrites in a text that was good. */
const damage = fc.array(
  fc.record({
    at: fc.nat(),
    length: fc.nat(12),
    act: fc.constantFrom("drop" as const, "copy" as const, "put" as const),
    text: fc.constantFrom(
      "",
      "\n",
      " ",
      "\t",
      '"',
      "{",
      "}",
      "[",
      "]",
      ":",
      ",",
      "-",
      "0",
      "1e999",
      "~",
      "&a",
      "*a",
      "!!x",
      "|",
      ">",
      "\u202e",
      "\0",
      "__proto__",
      "true",
      "#",
    ),
  }),
  { minLength: 1, maxLength: 4 },
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;
function damaged(text: string, edits: Damage): string {
  return edits.reduce((whole, { at, length, act, text: put }) => {
    const place = at % (whole.length + 1);
    const cut = whole.slice(place, place + length);
    return whole.slice(0, place) + { drop: "", copy: cut + cut, put: put + cut }[act] + whole.slice(place + length);
  }, text);
}

describe("bounded JSON", () => {
  it("reads exactly what is JSON, not too deep and without a way to a prototype; else it refuses with a code", () => {
    const text = fc.oneof(
      fc.tuple(fc.json({ maxDepth: 12 }), damage).map(([json, edits]) => damaged(json, edits)),
      fc.json({ maxDepth: 12 }),
      fc
        .array(fc.constantFrom("[", "]", "{", "}", '"a":', "1", ",", '"\\\\"', '"]"', '"\\""'), { maxLength: 30 })
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (json) => {
        let expected: unknown;
        let lawful = true;
        try {
          expected = JSON.parse(json, (key, value: unknown) => {
            if (key === "__proto__" || (key === "constructor" && Object.hasOwn(Object(value), "prototype")))
              lawful = false;
            return value;
          });
        } catch {
          lawful = false;
        }
        const nesting = json.replaceAll(/"(?:[^"\\]|\\.)*"/gs, "").matchAll(/[[{]|[\]}]/g);
        let [depth, deepest] = [0, 0];
        for (const [bracket] of nesting) deepest = Math.max(deepest, (depth += /[[{]/.test(bracket) ? 1 : -1));
        if (deepest > 8) lawful = false;
        try {
          assert.deepEqual(parseBoundedJson(json, { maxDepth: 8 }), expected);
          assert(lawful, json);
        } catch (error) {
          if (!(error instanceof SallyportError)) throw error;
          assert(!lawful && (error.code === "usage" || error.code === "limit_exceeded"), json);
        }
      }),
      runs(1200),
    );
  });
});

describe("canonical JSON", () => {
  /** RFC 8785 built from its sentences: members in the order of their UTF-16 units, everything else as ECMAScript writes it. */
  function plain(value: unknown): string {
    if (Array.isArray(value)) return `[${value.map(plain).join()}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const units = (text: string): string =>
      Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, "0")).join("");
    const members = Object.entries(value).map(
      ([key, member]) => [units(key), `${JSON.stringify(key)}:${plain(member)}`] as const,
    );
    return `{${members
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, text]) => text)
      .join()}}`;
  }
  /** The same value with its members in another order. */
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([key, member]) => [key, turned(member)]),
    );
  };

  it("is one text for one value, reads back as it, and differs for any other", () => {
    const json = fc.jsonValue({ stringUnit: "grapheme", maxDepth: 4 });
    fc.assert(
      fc.property(json, json, (a, b) => {
        const text = canonicalJson(a);
        assert.equal(text, plain(a));
        assert.equal(canonicalJson(turned(a)), text);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(a)));
        assert.equal(
          canonicalJson(b) === text,
          JSON.stringify(turned(turned(JSON.parse(canonicalJson(b))))) ===
            JSON.stringify(turned(turned(JSON.parse(text)))),
        );
      }),
      runs(800),
    );
  });

  it("writes what RFC 8785 shows", () => {
    const sorted = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew",
      "1": "One",
      "\ud83d\ude00": "Emoji",
      "\u0080": "Control",
      "\u00f6": "Latin",
    };
    expect(Object.values(JSON.parse(canonicalJson(Object.entries(sorted).map(([, name]) => name))))).toHaveLength(7);
    expect([...canonicalJson(sorted).matchAll(/:"([^"]+)"/g)].map(([, name]) => name)).toEqual([
      "Carriage Return",
      "One",
      "Control",
      "Latin",
      "Euro Sign",
      "Emoji",
      "Hebrew",
    ]);
    const numbers = [JSON.parse("333333333.33333329"), 1e30, 4.5, 2e-3, 0.000000000000000000000000001, -0];
    expect(canonicalJson(numbers)).toBe("[333333333.3333333,1e+30,4.5,0.002,1e-27,0]");
    expect(() => canonicalJson("\ud800")).toThrow(TypeError);
  });
});

const plugins = fileURLToPath(new URL("../../../../plugins", import.meta.url));
const MANIFESTS = readdirSync(plugins, { recursive: true, encoding: "utf8" })
  .filter((path) => /(?:^|\/)plugin\.(?:yml|yaml|json)$/.test(path) && !path.includes("node_modules"))
  .map((path) => ({ name: path.split("/").at(-1) ?? "", text: readFileSync(join(plugins, path), "utf8") }));

describe("a manifest that was damaged", () => {
  it("is read, or refused with a code, a path and a file", () => {
    expect(MANIFESTS.length).toBeGreaterThan(10);
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...MANIFESTS), damage, ({ name, text }, edits) => {
        try {
          const { manifest } = readManifest({ name, bytes: Buffer.from(damaged(text, edits)) });
          assert(/^[a-z0-9/-]+$/.test(manifest.id));
        } catch (error) {
          if (!(error instanceof SallyportError)) throw error;
          refused++;
          assert(
            ["manifest_invalid", "manifest_too_large", "entry_invalid", "schema_unsupported"].includes(error.code),
            error.code,
          );
          assert(typeof error.data["path"] === "string" && error.data["file"] === name);
          assert(!error.message.includes("\u202e") && !error.message.includes("\0"));
        }
      }),
      runs(120),
    );
    expect(refused).toBeGreaterThan(20);
  });
});

describe("a secret in a stream", () => {
  const value = fc
    .string({ unit: "grapheme", minLength: 6, maxLength: 20 })
    .filter((text) => Buffer.byteLength(text) >= 8 && text.isWellFormed());
  const noise = fc.string({ unit: fc.constantFrom("a", "b", "=", "%", "\\", "/", "é", "0", "[", "]"), maxLength: 8 });

  it("never passes in any spelling, however the stream is cut [S4-34]", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(value, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(), noise, fc.nat(30)), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
        (values, pieces, cuts) => {
          const secrets = values.map((text, at) => ({ name: `S${at}`, value: text }));
          const forms = values.flatMap((text) => secretForms(text));
          // Half of a secret beside another half is no secret, but the mark that stands for one may complete a third.
          fc.pre(!forms.some((form) => "[secret S0][secret S1][secret S2]".includes(form) || /[[\]]/.test(form)));
          const text = pieces.map(([which, around, cut]) => {
            const form = forms[which % forms.length] ?? "";
            return around + (cut < form.length ? form.slice(0, cut) : form);
          });
          const data = Buffer.from(text.join(""));
          const whole = createStripper(secrets);
          const expected = Buffer.concat([whole.push(data), whole.end()]);
          const { push, end } = createStripper(secrets);
          const out: Buffer[] = [];
          for (let at = 0, n = 0; at < data.length; n++) {
            const size = cuts[n % cuts.length] ?? 1;
            out.push(push(data.subarray(at, at + size)));
            at += size;
          }
          out.push(end());
          assert.deepEqual(Buffer.concat(out), expected);
          for (const form of forms) assert(!expected.includes(form), form);
          const { redactText } = createRedactor(() => secrets);
          for (const form of forms) assert(!redactText(text.join("")).includes(form), form);
        },
      ),
      runs(200),
    );
  });
});

const logs = temporaryLogs();
describe("an export of the audit", () => {
  it("shows any single change of what it says", async () => {
    const { audit } = await logs.fresh();
    await fill(audit, 12, (index) => ({
      input: { index, text: "é\u2028" },
      reason: index % 2 === 0 ? "x" : undefined,
    }));
    const lines: string[] = [];
    for await (const line of audit.export()) lines.push(line);
    const key = String(JSON.parse(lines.at(-1) ?? "")["public_key"]);
    expect(await verifyExport(lines, key)).toMatchObject({ ok: true, events: 12 });
    const said = (given: readonly string[]): string => {
      try {
        return JSON.stringify(given.filter((line) => line !== "").map((line): unknown => JSON.parse(line)));
      } catch {
        return "no JSON";
      }
    };
    const change = fc.oneof(
      fc
        .tuple(fc.nat(lines.length - 1), damage)
        .map(([at, edits]) => lines.toSpliced(at, 1, ...damaged(lines[at] ?? "", edits).split("\n"))),
      fc
        .tuple(fc.nat(lines.length - 1), fc.nat(lines.length - 1))
        .map(([a, b]) => lines.with(a, lines[b] ?? "").with(b, lines[a] ?? "")),
      fc
        .tuple(fc.nat(lines.length - 1), fc.integer({ min: 1, max: 4 }))
        .map(([at, count]) => lines.toSpliced(at, count)),
      fc
        .tuple(fc.nat(lines.length - 1), fc.nat(lines.length))
        .map(([at, to]) => lines.toSpliced(to, 0, lines[at] ?? "")),
    );
    const original = said(lines);
    let found = 0;
    await fc.assert(
      fc.asyncProperty(change, async (changed) => {
        if (said(changed) === original) return;
        found++;
        assert.equal((await verifyExport(changed, key)).ok, false);
      }),
      // Saved: Node's base64 skips what is none, so that this signature was still the same bytes.
      {
        ...runs(300),
        examples: [[lines.with(lines.length - 1, (lines.at(-1) ?? "").replace('"signature":"', "$&,"))]],
      },
    );
    expect(found).toBeGreaterThan(150);
  });
});
