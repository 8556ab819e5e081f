import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createWire, line } from "./support.ts";

/** Cuts a buffer at arbitrary places. */
function split(data: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (data.length + 1)))].toSorted((a, b) => a - b);
  const parts: Buffer[] = [];
  let start = 0;
  for (const place of [...places, data.length]) {
    parts.push(data.subarray(start, place));
    start = place;
  }
  return parts;
}

describe("any bytes, any split, any ids [S1-13]", () => {
  it("reads the same messages however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "grapheme", maxLength: 40 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (texts, cuts) => {
          const wire = createWire();
          const bytes = Buffer.from(
            texts.map((text) => line({ jsonrpc: "2.0", method: "log", params: { text } })).join(""),
          );
          for (const part of split(bytes, cuts)) wire.receive(part);
          expect(wire.violations).toEqual([]);
          expect(wire.notifications.map(({ params }) => params)).toEqual(texts.map((text) => ({ text })));
        },
      ),
      { numRuns: 300, examples: [[["ä\u2028😀"], [30, 47, 48, 49, 50, 51]]] },
    );
  });

  it("never throws, and reports at most one violation, whatever comes in", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(`${text}\n`)),
      fc
        .record({ jsonrpc: fc.constant("2.0"), id: fc.oneof(fc.integer(), fc.jsonValue()), result: fc.jsonValue() })
        .map((value) => Buffer.from(line(value))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const wire = createWire({ limits: { lineBytes: 200 } });
        for (let count = 0; count < 3; count++) wire.peer.send("call", {}, 1000, () => undefined);
        for (const bytes of pieces) wire.receive(bytes);
        expect(wire.violations.length).toBeLessThanOrEqual(1);
      }),
      {
        numRuns: 500,
        examples: [
          [[Buffer.from("null\n")]],
          [[Buffer.from('{"jsonrpc":"2.0","id":1,"error":null}\n')]],
          [[Buffer.from('"')]],
        ],
      },
    );
  });

  it("settles each request exactly once, whatever ids the answers carry", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        (ids, count) => {
          const wire = createWire();
          const settled = Array.from({ length: count }, () => 0);
          for (let index = 0; index < count; index++) {
            wire.peer.send("call", {}, 1000, () => (settled[index] = (settled[index] ?? 0) + 1));
          }
          const seen = new Set<number>();
          let lies = false;
          for (const id of ids) {
            lies ||= id > count || seen.has(id);
            seen.add(id);
            wire.receive(line({ jsonrpc: "2.0", id, result: null }));
          }
          expect(wire.violations.length).toBe(lies ? 1 : 0);
          wire.time.advance(1000);
          expect(settled).toEqual(settled.map(() => 1));
        },
      ),
      { numRuns: 500 },
    );
  });
});
