import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEventStreamParser, type ServerEvent } from "../src/runtime/index.ts";

function parse(...pieces: readonly string[]): { events: ServerEvent[]; retries: number[] } {
  const events: ServerEvent[] = [];
  const retries: number[] = [];
  const parser = createEventStreamParser(
    (event) => events.push(event),
    (ms) => retries.push(ms),
  );
  for (const piece of pieces) parser.push(piece);
  return { events, retries };
}

const data = (...pieces: readonly string[]): string[] => parse(...pieces).events.map((event) => event.data);

describe("event streams", () => {
  it("joins data lines, names types, keeps the last id, reads retry, skips comments", () => {
    const { events, retries } = parse(
      ": hi\nretry: 250\nretry: soon\nid: 7\nevent: tick\ndata: a\ndata:b\ndata\n\ndata:  c\n\nevent: empty\n\n",
    );
    expect(events).toEqual([
      { type: "tick", data: "a\nb\n", lastEventId: "7" },
      { type: "message", data: " c", lastEventId: "7" },
    ]);
    expect(retries).toEqual([250]);
  });

  it("takes every end of line, mixed, a byte order mark once, and drops an unfinished event", () => {
    expect(data("\ufeffdata: a\r\rdata: b\r\n\r\ndata: c\n\n\ndata: \ufeffd\r\n\ndata: lost\n")).toEqual([
      "a",
      "b",
      "c",
      "\ufeffd",
    ]);
  });

  it("gives the same events however the stream is cut", () => {
    const line = fc.constantFrom("data: x", "data", "event: t", "id: 1", ":c", "", "retry: 5", "data: é\ufeff");
    const end = fc.constantFrom("\r\n", "\n", "\r");
    fc.assert(
      fc.property(fc.array(fc.tuple(line, end), { maxLength: 12 }), fc.array(fc.nat(80)), (lines, cuts) => {
        const stream = `${lines.flat().join("")}\n`;
        const at = [0, ...cuts.filter((cut) => cut < stream.length).toSorted((a, b) => a - b), stream.length];
        const pieces = at.slice(1).map((cut, index) => stream.slice(at[index], cut));
        expect(parse(...pieces)).toEqual(parse(stream));
      }),
    );
  });

  it("refuses an event over 1 MiB, in one line or in many", () => {
    expect(() => parse(`data: ${"x".repeat(1_100_000)}`)).toThrow(RangeError);
    expect(() => parse("data: 0123456789\n".repeat(120_000))).toThrow(RangeError);
  });
});
