import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { statementKind } from "../../src/broker/database-statement.ts";

describe("the first word of a statement", () => {
  it("is found behind spaces, brackets and comments", () => {
    expect(statementKind(" \n\tsElEcT 1", "sqlite")).toBe("select");
    expect(statementKind("-- DROP\n/* DELETE */ ((VALUES (1)))", "postgres")).toBe("values");
    expect(statementKind("WITH x AS (SELECT 1) DELETE FROM y", "sqlite")).toBe("with");
    expect(statementKind("replace into t values (1)", "sqlite")).toBe("replace");
    expect(statementKind("TABLE people", "postgres")).toBe("table");
    expect(statementKind("-- one\r\n/*/ two */\r\nSELECT 1", "postgres")).toBe("select");
  });

  it("is refused when it is another, when there is none, and when it is only like one", () => {
    for (const sql of [
      "",
      ";",
      "-- SELECT",
      "/* SELECT 1 */",
      "1",
      "SELECTED",
      "select$1",
      "selec\u0442 1",
      "EXPLAIN SELECT 1",
    ])
      expect(() => statementKind(sql, "postgres"), sql).toThrow(expect.objectContaining({ code: "permission_denied" }));
    expect(() => statementKind("REPLACE INTO t VALUES (1)", "postgres")).toThrow("rows");
    expect(() => statementKind("MERGE INTO t", "sqlite")).toThrow("rows");
  });

  it("is not looked for in what two databases would read in two ways", () => {
    for (const sql of [
      "/* /* */ SELECT 1 */",
      "/*/*/ SELECT 1 */ */ DROP TABLE people",
      "/* SELECT 1",
      "--\rDROP TABLE --\nvalues",
      "-- \r",
      "SELECT 1\0",
      "SELECT '\ud800'",
    ])
      expect(() => statementKind(sql, "postgres"), sql).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it("is never one that is not served, whatever comes before and after it", () => {
    const forbidden = fc.constantFrom(
      "attach",
      "pragma",
      "vacuum",
      "copy",
      "set",
      "do",
      "begin",
      "commit",
      "create",
      "call",
      "lock",
    );
    const before = fc.array(fc.constantFrom(" ", "\n", "(", "-- select\n", "/* select */", "\u00a0", "\ufeff"));
    fc.assert(
      fc.property(before, forbidden, fc.string(), (lead, word, rest) => {
        expect(() => statementKind(`${lead.join("")}${word} ${rest}`, "sqlite")).toThrow();
      }),
    );
  });
});
