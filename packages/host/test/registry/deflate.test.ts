import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/kernel/index.ts";
import { deflate } from "../../src/registry/deflate.ts";

const back = (input: Uint8Array): Buffer => inflateRawSync(deflate(input));

describe("deflate", () => {
  it("gives back what it was given: any bytes, and any repetition of them", () => {
    const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 300 })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(pieces, (parts) => {
        const input = Buffer.concat(parts.flatMap(([bytes, times]) => Array<Uint8Array>(times).fill(bytes)));
        expect(back(input).equals(input)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, Uint8Array]>([
    ["nothing", Buffer.alloc(0)],
    ["one byte", Buffer.from([255])],
    ["a million zeroes", Buffer.alloc(1_000_000)],
    ["noise", randomBytes(200_000)],
    [
      "what repeats at the window's very edge",
      Buffer.concat([Buffer.from("edge!"), randomBytes(32_763), Buffer.from("edge!")]),
    ],
    ["what repeats beyond it", Buffer.concat([Buffer.from("beyond"), randomBytes(40_000), Buffer.from("beyond")])],
    ["source text", readFileSync(new URL(import.meta.url))],
  ])("gives back %s", (_, input) => {
    expect(back(input).equals(input)).toBe(true);
  });

  it("writes the same bytes on every machine: these were written down once", () => {
    const text = "the same plugin, the same plugin, the same bytes; ".repeat(40);
    expect(sha256(deflate(Buffer.from(text)))).toBe(
      "sha256:65b9c33ed819f40d08db940b7a97db1db08c5c0e70b6d8ed33761beaed9b1bfc",
    );
  });

  it("makes text smaller", () => {
    const text = readFileSync(new URL(import.meta.url));
    expect(deflate(text).length).toBeLessThan(text.length * 0.6);
  });
});
