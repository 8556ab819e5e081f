import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBoundedJson } from "../../src/kernel/index.ts";

const limits = { maxDepth: 16 };
const parse = (text: string): unknown => parseBoundedJson(text, limits);

describe("parseBoundedJson", () => {
  it("reads what JSON.parse reads, when it is not too deep", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
        const text = JSON.stringify(value);
        if (!text.includes("__proto__")) expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("refuses one level too many, whatever stands in strings", () => {
    const nested = (depth: number): string => `${"[".repeat(depth)}"[[[\\"[["${"]".repeat(depth)}`;
    expect(parse(nested(16))).toBeDefined();
    expect(() => parse(nested(17))).toThrowError(expect.objectContaining({ code: "limit_exceeded" }));
    expect(() => parse("[".repeat(1_000_000))).toThrowError(expect.objectContaining({ code: "limit_exceeded" }));
  });

  it("counts values outside strings, and refuses one too many before it parses any", () => {
    let values = 0;
    const text = `[${Array.from({ length: 40 }, () => '"[,{"').join(",")},[],{"a":1}]`;
    parseBoundedJson(text, { ...limits, counted: (count) => (values = count) });
    expect(values).toBe(1 + 1 + 41 + 2);
    expect(parseBoundedJson(text, { ...limits, maxValues: values })).toEqual(JSON.parse(text));
    expect(() => parseBoundedJson(text, { ...limits, maxValues: values - 1 })).toThrowError(
      expect.objectContaining({ code: "limit_exceeded" }),
    );
    expect(() => parseBoundedJson("[[],".repeat(1_000_000), { maxDepth: 1e9, maxValues: 100 })).toThrowError(
      expect.objectContaining({ code: "limit_exceeded" }),
    );
  });

  it.each([
    ['{"__proto__":{"polluted":true}}'],
    ['[{"a":{"\\u005f\\u005fproto__":1}}]'],
    ['{"constructor":{"prototype":{"polluted":true}}}'],
    ['{"\\u0063onstructor":{"protot\\u0079pe":1}}'],
  ])("refuses data that reaches a prototype: %s", (text) => {
    expect(() => parse(text)).toThrowError(expect.objectContaining({ code: "usage" }));
  });

  it("takes constructor and prototype as the ordinary words that they are", () => {
    const text = '{"constructor":{"name":"Ferrari"},"prototype":"F2004"}';
    expect(parse(text)).toEqual(JSON.parse(text));
  });
});
