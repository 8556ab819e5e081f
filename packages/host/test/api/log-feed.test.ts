import { describe, expect, it } from "vitest";
import { createLogReader } from "../../src/api/index.ts";
import type { LogLine } from "../../src/host-api.ts";

const line = (message: string): LogLine => ({ time: 1, level: "info", message });
const lines = (text: string): LogLine[] => text.split("").map(line);

/** What a reader gives at each look at a log. */
function looks(...logs: readonly string[]): readonly string[] {
  let now = "";
  const reader = createLogReader(() => lines(now));
  return logs.map((log) => {
    now = log;
    return reader
      .fresh()
      .map(({ message }) => message)
      .join("");
  });
}

describe("a reader of a log", () => {
  it("gives each line once while the oldest are dropped", () => {
    expect(looks("", "ab", "ab", "abc", "cde", "efg")).toEqual(["", "ab", "", "c", "de", "fg"]);
  });

  it("gives a line again that was logged again", () => {
    expect(looks("aa", "aaa", "aab", "aba")).toEqual(["aa", "a", "b", "a"]);
  });

  it("gives all lines of a log that began again", () => {
    expect(looks("abc", "", "abc", "xy")).toEqual(["abc", "", "abc", "xy"]);
  });
});
