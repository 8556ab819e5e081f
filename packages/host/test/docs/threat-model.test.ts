import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAttacks } from "../../src/cli/attack/list.ts";
import { page, REPOSITORY, section } from "./support.ts";

const text = page("docs/threat-model.md");
const attacks = new Set(
  (await readAttacks(join(REPOSITORY, "plugins/hostile"))).flatMap(({ name, plugin }) => [name, plugin]),
);

/** What is wrong with a reference to what checks a claim; null when the test or attack is there. */
function missing(reference: string): string | null {
  const [, kind, what = ""] = /^(test|attack): (.+)$/.exec(reference) ?? [];
  if (kind === "attack") return attacks.has(what) ? null : `there is no attack ${what}`;
  const [file = "", title = ""] = what.split(" › ");
  const path = join(REPOSITORY, `packages/host/test/${file}.test.ts`);
  if (title === "" || !existsSync(path)) return `there is no test file ${file}`;
  return [`"${title}`, `\`${title}`].some((start) => readFileSync(path, "utf8").includes(start))
    ? null
    : `${file} has no test "${title}"`;
}

const referencesOf = (part: string): string[] =>
  [...part.matchAll(/`((?:test|attack): [^`]+)`/g)].map(([, reference = ""]) => reference);
/** The points of the lists that claim something: everything but what is left. */
const claims = ["## The borders", "## The walls, level by level", "## The record"].flatMap((heading) =>
  section(text, heading)
    .split("\n")
    .filter((line) => line.startsWith("- ")),
);

describe("the threat model", () => {
  it("names tests and attacks that are there", () => {
    const references = referencesOf(text).filter((reference) => !/FILE|NAME/.test(reference));
    expect(references.length).toBeGreaterThan(80);
    expect(references.flatMap((reference) => missing(reference) ?? [])).toEqual([]);
  });

  it("has a check for each claim", () => {
    expect(claims.length).toBeGreaterThan(40);
    expect(claims.filter((claim) => referencesOf(claim).length === 0)).toEqual([]);
  });

  it("would be told of a test, a title or an attack that there is not", () => {
    expect(missing("test: nowhere/nothing › x")).toMatch(/no test file/);
    expect(missing("test: docs/docs › a title that nobody wrote down")).toMatch(/no test "/);
    expect(missing("attack: kindness")).toMatch(/no attack/);
    expect(missing("attack: file-theft")).toBeNull();
  });

  it("says for each border and level what is left", () => {
    for (const heading of [
      "### ① Agents",
      "### ② Operators, and who is mistaken for one",
      "### ③ The wire",
      "### ④ The way out",
      "### ⑤ Files that come in",
    ])
      expect([heading, section(text, heading)]).toEqual([heading, expect.stringContaining("**Left:**")]);
    for (const level of ["every level", "`landlock`", "`runtime`"]) expect(text).toContain(`**Left at ${level}:**`);
  });
});
