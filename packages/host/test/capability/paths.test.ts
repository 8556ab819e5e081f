import { posix } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalFilePath, canonicalPathPattern, pathContains, pathMatches } from "../../src/capability/index.ts";

describe("URL path patterns", () => {
  it.each([
    ["/data/2.5/*", "/data/2.5/weather", true],
    ["/data/2.5/*", "/data/2.5/weather/x", false],
    ["/data/2.5/*", "/data/2.5/", false],
    ["/data/**", "/data/a/b", true],
    ["/data/**", "/data/", true],
    ["/data/**", "/data", false],
    ["/data/**", "/database", false],
    ["/**", "/", true],
    ["/a/*/c", "/a/b/c", true],
    ["/a/*/c", "/a/b/d/c", false],
    ["/a", "/a/", false],
    ["/é/*", "/%C3%A9/x", true],
  ])("%s and %s: %s", (pattern, path, matches) =>
    expect(pathMatches(canonicalPathPattern(pattern), path)).toBe(matches),
  );

  it.each(["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00b", "/a/../b", "/a/%2e%2E/b", "/a/./b", "/.%2e", "a", ""])(
    "never admits %j, not even under /**",
    (path) => {
      expect(pathMatches("/**", path)).toBe(false);
    },
  );

  it.each(["", "x", "/a*", "/**/x", "/a?b", "/a#b", "/../x", "/%2e%2e/x", "/a%2fb", "/a b", "/\u202e"])(
    "refuses the pattern %j",
    (pattern) => {
      expect(() => canonicalPathPattern(pattern)).toThrow(/is not a path pattern/);
    },
  );

  it("agrees with a plain reference", () => {
    const segment = fc.constantFrom("a", "b", "*", "");
    const reference = (pattern: string[], path: string[]): boolean => {
      const [wanted, ...restOfPattern] = pattern;
      const [found, ...restOfPath] = path;
      if (wanted === undefined || found === undefined) return wanted === found;
      if (wanted === "**" && restOfPattern.length === 0) return true;
      return (wanted === "*" ? found !== "" : wanted === found) && reference(restOfPattern, restOfPath);
    };
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.array(fc.constantFrom("a", "b", "c", ""), { minLength: 1, maxLength: 5 }),
        (start, rest, path) => {
          const pattern = rest ? [...start, "**"] : start;
          expect(pathMatches(`/${pattern.join("/")}`, `/${path.join("/")}`)).toBe(reference(pattern, path));
        },
      ),
    );
  });
});

describe("file paths", () => {
  it.each([
    ["/srv/data/", "/srv/data"],
    ["/", "/"],
    ["${data}", "${data}"],
    ["${data}/cache", "${data}/cache"],
  ])("reads %s as %s", (text, path) => expect(canonicalFilePath(text)).toBe(path));

  it.each([
    "",
    "data",
    "./data",
    "~/x",
    "/a/../b",
    "/a/./b",
    "/a//b",
    "C:\\x",
    "\\\\server\\share",
    "/a\\b",
    "${data}/../x",
    "${data}x",
    "${home}/x",
    "/a/${data}",
    "/a\u0000b",
    "/a\nb",
    "/a/*",
    `/${"a".repeat(2000)}`,
  ])("refuses %j", (text) => expect(() => canonicalFilePath(text)).toThrow(/is not a path that can be granted/));

  it("contains by whole segments, and nothing that climbs", () => {
    expect(pathContains("/data", "/data")).toBe(true);
    expect(pathContains("/data", "/data/x")).toBe(true);
    expect(pathContains("${data}/cache", "${data}/cache/a")).toBe(true);
    for (const path of [
      "/database",
      "/data/../etc",
      "/data/./x",
      "/data//x",
      "/dat",
      "/",
      "data/x",
      "/data/x\0",
      "/data/",
      "${data}",
    ])
      expect(pathContains("/data", path)).toBe(false);
    expect(pathContains("/", "${data}/x")).toBe(false);
    expect(pathContains("${data}", "/${data}/x")).toBe(false);
  });

  it("agrees with node:path for absolute paths", () => {
    const path = fc
      .array(fc.constantFrom("a", "b", "ab", "..", ".", ""), { maxLength: 4 })
      .map((parts) => `/${parts.join("/")}`);
    fc.assert(
      fc.property(path, path, (root, inner) => {
        if (!pathContains(root, inner)) return;
        const relative = posix.relative(root, inner);
        expect(relative.startsWith("..")).toBe(false);
        expect(posix.normalize(inner)).toBe(inner);
      }),
      { numRuns: 1000 },
    );
  });
});
