import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inputFromTexts, wordsOf } from "../../src/manifest/index.ts";

const schema = {
  type: "object",
  properties: { text: { type: "string" }, n: { type: "integer" }, list: { type: "array" }, any: {} },
  required: ["text"],
} as const;

describe("texts as a tool's input", () => {
  it("are read as JSON where the tool takes no text, and stay texts where they are none", () => {
    const texts = { text: "7", n: "7", list: "[1]", any: "7", other: "true" };
    expect(inputFromTexts(schema, texts)).toEqual({ text: "7", n: 7, list: [1], any: "7", other: "true" });
    expect(inputFromTexts(schema, { n: "seven", list: "[1" })).toEqual({ n: "seven", list: "[1" });
    expect(inputFromTexts(true, { n: "7" })).toEqual({ n: "7" });
  });

  it("never reach a prototype, whatever they are called", () => {
    fc.assert(
      fc.property(fc.constantFrom("__proto__", "constructor", "toString"), fc.string(), (name, text) => {
        const values = Object.fromEntries([[name, text]]);
        const input = inputFromTexts(schema, values);
        expect(Object.keys(input)).toEqual([name]);
        expect(Object.getPrototypeOf(input)).toBe(Object.prototype);
      }),
    );
  });
});

describe("the words of a command", () => {
  it.each([
    ["/say TEXT", ["text"]],
    ["/say TEXT N TIMES", ["text", "n"]],
    ["/say N TEXT N", ["n", "text"]],
    ["Says it. OK?", ["text"]],
    ["", ["text"]],
  ])("of %j are %j", (description, words) => {
    expect(wordsOf(description, schema)).toEqual(words);
  });

  it("are none when nothing says what they mean", () => {
    expect(wordsOf("Does it.", { type: "object", properties: { a: {}, b: {} } })).toEqual([]);
    expect(wordsOf("Does it.", { type: "object" })).toEqual([]);
    expect(wordsOf("Does it.", { type: "object", properties: { only_one: {} } })).toEqual(["only_one"]);
    expect(wordsOf("/do ONLY-ONE", { type: "object", properties: { only_one: {}, b: {} } })).toEqual(["only_one"]);
  });
});
