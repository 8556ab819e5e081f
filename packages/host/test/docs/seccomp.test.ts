import { describe, expect, it } from "vitest";
import {
  ALLOWED_SYSCALLS,
  CLIENT_SYSCALLS,
  FILTERED_SYSCALLS,
  OWN_SYSCALLS,
  PRIVATE_SYSCALLS,
  STDIO_SYSCALLS,
} from "../../src/isolation/syscalls.ts";
import { page, section } from "./support.ts";

const text = page("docs/seccomp.md");

/** The calls of a section's table with the rest of their row. */
function rows(heading: string): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const [, names = "", rest = ""] of section(text, heading).matchAll(/^\| (`.+?`) \| (.+) \|$/gm)) {
    for (const [, name = ""] of names.matchAll(/`(\w+)`/g)) {
      expect(found.has(name), `${name} is there twice`).toBe(false);
      found.set(name, rest.split(" | "));
    }
  }
  return found;
}

const TABLES = [
  ["## Always allowed", ALLOWED_SYSCALLS],
  ["## Allowed towards itself", PRIVATE_SYSCALLS],
  ["## Decided by the arguments", FILTERED_SYSCALLS],
  ["## Programs", { ...STDIO_SYSCALLS, ...CLIENT_SYSCALLS }],
] as const;

describe("docs/seccomp.md", () => {
  it.each(TABLES)("gives a reason for each call of the code, and names no other: %s", (heading, table) => {
    const described = rows(heading);
    expect([...described.keys()].toSorted()).toEqual(Object.keys(table).toSorted());
    for (const [name, cells] of described) expect([name, cells.at(-1)]).toEqual([name, expect.stringMatching(/\w{3}/)]);
  });

  it("says of each call towards others what is answered", () => {
    for (const [name, cells] of rows("## Allowed towards itself")) {
      const own = OWN_SYSCALLS[name];
      const said = cells.at(-1);
      if (own === undefined) expect([name, said]).toEqual([name, "refused"]);
      else if (own.otherwise === "absent") expect([name, said]).toEqual([name, expect.stringMatching(/^only/)]);
      else expect([name, said]).toEqual([name, expect.stringMatching(/^itself; /)]);
    }
  });

  it("names as refused only what is refused", () => {
    const refused = [...rows("## Not on the list, and why it matters").keys()];
    expect(refused.length).toBeGreaterThan(70);
    for (const [, table] of TABLES)
      for (const name of refused) expect([name, Object.hasOwn(table, name)]).toEqual([name, false]);
  });
});
