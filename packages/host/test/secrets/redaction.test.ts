import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createMatcher,
  createRedactor,
  createStripper,
  type KnownSecret,
  secretForms,
} from "../../src/secrets/index.ts";

const raw = 'pass/"wörd" & more';
const secrets = [{ name: "KEY", value: raw }];
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const value = fc
  .string({ unit: "grapheme", minLength: 6, maxLength: 24 })
  .filter((each) => Buffer.byteLength(each) >= 8 && each.isWellFormed());

describe("secretForms", () => {
  it("finds a value inside longer base64, at each alignment", () => {
    fc.assert(
      fc.property(value, fc.uint8Array({ maxLength: 7 }), fc.uint8Array({ maxLength: 7 }), (secret, before, after) => {
        const whole = Buffer.concat([before, Buffer.from(secret), after]);
        const forms = secretForms(secret);
        expect(forms.some((form) => whole.toString("base64").includes(form))).toBe(true);
        expect(forms.some((form) => whole.toString("base64url").includes(form))).toBe(true);
      }),
    );
  });
});

describe("matcher", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "é", "\u{1f600}"), minLength: 2, maxLength: 9 });

  /** The same, as one would write it down. */
  function plainly(whole: string, needles: readonly string[]): string {
    const long = needles.filter((needle) => needle.length >= 4).toSorted((a, b) => b.length - a.length);
    let out = "";
    for (let at = 0; at < whole.length;) {
      const hit = long.find((needle) => whole.startsWith(needle, at));
      out += hit === undefined ? whole[at] : `<${hit.length}>`;
      at += hit?.length ?? 1;
    }
    return out;
  }

  it("replaces what stands first, of those at one place the longest", () => {
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 12 }), fc.array(letters, { maxLength: 40 }), (needles, parts) => {
        const matcher = createMatcher(new Map(needles.map((needle) => [needle, `<${needle.length}>`])));
        const whole = parts.join("");
        expect(matcher.replace(whole)).toBe(plainly(whole, needles));
        expect(matcher.test(whole)).toBe(plainly(whole, needles) !== whole);
      }),
      { numRuns: 300 },
    );
  });

  it("finds each of a thousand, at the border of every window", () => {
    const needles = Array.from({ length: 1000 }, (_, index) => `token-${index.toString(36).padStart(4, "0")}-${index}`);
    const matcher = createMatcher(new Map(needles.map((needle) => [needle, "#"])));
    needles.forEach((needle, index) => {
      const around = "token-".repeat(index % 12);
      expect(matcher.replace(`${around}${needle}${around}`)).toBe(`${around}#${around}`);
    });
  });
});

describe("redactor", () => {
  it("takes every spelling out of text [S4-34]", () => {
    const { redactText } = createRedactor(() => secrets);
    for (const form of [
      raw,
      encodeURIComponent(raw),
      JSON.stringify(raw).slice(1, -1),
      Buffer.from(raw).toString("hex"),
      Buffer.from(`a:${raw}`).toString("base64"),
    ]) {
      expect(redactText(`<${form}>`)).toContain("[secret KEY]");
    }
  });

  it("takes it out of nested JSON, keys too, and returns what it found nothing in as it is", () => {
    const { redactJson } = createRedactor(() => [{ name: "KEY", value: "hunter22" }]);
    const clean = { a: [1, { b: "x" }], c: null };
    expect(redactJson(clean)).toBe(clean);
    expect(redactJson({ a: ["hunter22", { "is hunter22": 1 }] })).toEqual({
      a: ["[secret KEY]", { "is [secret KEY]": 1 }],
    });
    expect(redactJson(JSON.parse('{"__proto__":"hunter22"}'))).toEqual(JSON.parse('{"__proto__":"[secret KEY]"}'));
  });

  it("takes every form out: percent in either case and of every byte, hex in either case, base64 at each alignment", () => {
    const { redactText } = createRedactor(() => secrets);
    const bytes = Buffer.from(raw);
    const every = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const forms = [
      encodeURI(raw),
      encodeURIComponent(raw).replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()),
      new URLSearchParams({ k: raw }).toString().slice(2),
      every,
      every.toUpperCase(),
      bytes.toString("hex").toUpperCase(),
      JSON.stringify(JSON.stringify(raw)).slice(3, -3),
      ...[0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift, 1), bytes, Buffer.from("!!")]).toString("base64")),
    ];
    for (const form of forms) expect(redactText(form), form).toContain("[secret KEY]");
  });

  it("takes a secret of digits out of numbers", () => {
    const { redactJson } = createRedactor(() => [{ name: "PIN", value: "48151623" }]);
    expect(redactJson({ pin: 48151623, more: 1481516234, other: 4815162 })).toEqual({
      pin: "[secret PIN]",
      more: "1[secret PIN]4",
      other: 4815162,
    });
  });

  it("hides a secret that was set a moment ago", () => {
    let known: KnownSecret[] = [];
    const { redactText } = createRedactor(() => known);
    expect(redactText("hunter22")).toBe("hunter22");
    known = [{ name: "KEY", value: "hunter22" }];
    expect(redactText("hunter22")).toBe("[secret KEY]");
  });

  it("leaves no value in any text around it", () => {
    fc.assert(
      fc.property(value, text, text, (secret, before, after) => {
        const { redactText } = createRedactor(() => [{ name: "KEY", value: secret }]);
        fc.pre(!`${before}[secret KEY]${after}`.includes(secret));
        expect(redactText(`${before}${secret}${after}`)).not.toContain(secret);
      }),
    );
  });
});

describe("stripper", () => {
  it("gives the same whatever the chunks, and keeps nothing back at the end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("abc", "abcdef", "ab", "xyzxyz", "x", "-"), { maxLength: 30 }),
        fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 30 }),
        (parts, cuts) => {
          const known = [
            { name: "ONE", value: "abcdef" },
            { name: "TWO", value: "xyzx" },
          ];
          const data = Buffer.from(parts.join(""));
          const whole = createStripper(known);
          const expected = Buffer.concat([whole.push(data), whole.end()]).toString();
          const pieces = createStripper(known);
          const out: Buffer[] = [];
          let at = 0;
          for (let index = 0; at < data.length; index++) {
            const size = cuts[index % cuts.length] ?? 1;
            out.push(pieces.push(data.subarray(at, at + Math.max(1, size))));
            at += Math.max(1, size);
          }
          out.push(pieces.end());
          expect(Buffer.concat(out).toString()).toBe(expected);
          expect(expected).not.toContain("abcdef");
        },
      ),
    );
  });

  it("takes out a value as a header carried it, which is not UTF-8", () => {
    const stripper = createStripper(secrets);
    const sent = Buffer.from(raw, "latin1");
    const spelled = [sent, Buffer.from(sent.toString("hex")), Buffer.from(sent.toString("base64")), Buffer.from(raw)];
    const out = Buffer.concat([
      ...spelled.map((bytes) => stripper.push(Buffer.concat([bytes, Buffer.from(" ")]))),
      stripper.end(),
    ]);
    expect(out.toString("latin1").replaceAll("[secret KEY]", "#")).toMatch(/^# # #[\w=]{0,3} # $/);
  });

  it("passes on at once what cannot be the start of a secret", () => {
    const { push } = createStripper([{ name: "KEY", value: "hunter22" }]);
    expect(push(Buffer.from("data: 1\n\n")).toString()).toBe("data: 1\n\n");
    expect(push(Buffer.from("data: hun")).toString()).toBe("data: ");
    expect(push(Buffer.from("ger")).toString()).toBe("hunger");
  });
});
