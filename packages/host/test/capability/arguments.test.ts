import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersRequest,
  canonicalArguments,
  covers,
  type ExecScope,
  sentenceOf,
  withinScope,
} from "../../src/capability/index.ts";

const exec = (args: readonly string[], extra: Partial<ExecScope> = {}): ExecScope => ({
  capability: "exec",
  command: "/usr/bin/git",
  args: canonicalArguments(args),
  ...extra,
});
const admits = (patterns: readonly string[], args: readonly string[]): boolean =>
  covers(exec(patterns), { capability: "exec", command: "/usr/bin/git", args });

describe("argument patterns", () => {
  it.each<[readonly string[], readonly string[], boolean]>([
    [[], [], true],
    [[], ["x"], false],
    [["status"], ["status"], true],
    [["status"], ["status", "--short"], false],
    [["status"], [], false],
    [["log", "*"], ["log", "main"], true],
    [["log", "*"], ["log"], false],
    [["log", "v*.0"], ["log", "v1.2.0"], true],
    [["log", "v*.0"], ["log", "v1.2.1"], false],
    [["log", "**"], ["log"], true],
    [["log", "**"], ["log", "a", "b"], true],
    [["--format=*"], ["--format=%H"], true],
    [["{}", "?", "[a]", "$HOME", "~"], ["{}", "?", "[a]", "$HOME", "~"], true],
    [["?"], ["a"], false],
    [["[ab]"], ["a"], false],
  ])("%j admits %j: %s", (patterns, args, admitted) => expect(admits(patterns, args)).toBe(admitted));

  it.each([
    ["an option", "--upload-pack=touch /tmp/x"],
    ["a short option", "-oProxyCommand=x"],
    ["a lone dash", "-"],
    ["nothing", ""],
    ["a line feed", "a\nb"],
    ["NUL", "a\0b"],
    ["an escape sequence", "a\u001b[2J"],
    ["a bidirectional mark", "a\u202eb"],
  ])("never lets a star stand for %s", (_name, argument) => {
    for (const patterns of [["*"], ["**"]]) expect(admits(patterns, [argument])).toBe(false);
  });

  it("lets a pattern that begins with a dash admit options, and nothing else", () => {
    expect(admits(["-*"], ["-x"])).toBe(true);
    expect(admits(["-*"], ["x"])).toBe(false);
    expect(admits(["-**"], ["-x", "y", "--z=1"])).toBe(true);
    expect(admits(["-**"], ["a\nb"])).toBe(false);
    expect(sentenceOf(exec(["-**"]))).toContain("OPTIONS TOO");
  });

  it.each([
    [["**", "x"]],
    [["a**"]],
    [["-**", "x"]],
    [["a\u0000"]],
    [["a\nb"]],
    [["*a*a*a*a*a*a*a*a*a"]],
    [["x".repeat(501)]],
    [Array.from({ length: 65 }, () => "x")],
  ])("refuses the patterns %j", (patterns) =>
    expect(() => canonicalArguments(patterns)).toThrow(expect.objectContaining({ code: "usage" })),
  );

  const part = fc.constantFrom("a", "b", "-", "*", "a*", "*a", "-*", "-a", "**", "-**", "");
  const patternList = fc.array(part, { maxLength: 3 }).filter((list) => {
    try {
      return canonicalArguments(list).length === list.length;
    } catch {
      return false;
    }
  });
  it("never calls a list within another that admits less", () => {
    const words = fc.array(fc.constantFrom("a", "b", "", "-", "-a", "ab", "ba", "-ab", "*", "a*", "--"), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(patternList, patternList, words, (inner, outer, args) => {
        fc.pre(withinScope(exec(inner), exec(outer)) && admits(inner, args));
        return admits(outer, args);
      }),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(patternList, (one) => withinScope(exec(one), exec(one))));
  });

  it("takes no longer for a long argument than for its length", () => {
    expect(admits(["*a*a*a*a*a*a*a*b"], ["a".repeat(20_000)])).toBe(false);
  });
});

describe("a command", () => {
  const named: ExecScope = { capability: "exec", command: "git", args: ["status"] };
  const file = { path: "/usr/bin/git", sha256: "00" };

  it("is asked for by name and granted by path, which nobody but the operator chooses", () => {
    const granted = exec(["status"], { file });
    expect(withinScope(granted, named)).toBe(true);
    expect(withinScope(named, granted)).toBe(false);
    for (const command of ["/usr/bin/git-shell", "/usr/bin/agit", "git", "/usr/bin/GIT"])
      expect(covers(granted, { capability: "exec", command, args: ["status"] })).toBe(false);
    expect(covers(named, { capability: "exec", command: "/opt/git", args: ["status"] })).toBe(true);
  });

  it("is bound to the file that it was: another one is outside a ceiling for the first", () => {
    expect(withinScope(exec([], { file }), exec([], { file }))).toBe(true);
    expect(withinScope(exec([], { file: { ...file, sha256: "01" } }), exec([], { file }))).toBe(false);
    expect(withinScope(exec([]), exec([], { file }))).toBe(false);
    expect(withinScope(exec([], { file }), exec([]))).toBe(true);
  });

  it("is an interpreter only where the operator says so, in loud words", () => {
    const loud = exec(["-"], { interpreter: true });
    const request = { key: "exec:git -", scope: exec(["-"]), capability: "exec", required: true } as const;
    expect(answersRequest(loud, request)).toBe(true);
    expect(withinScope(loud, exec(["-"]))).toBe(false);
    expect(sentenceOf(loud)).toMatch(/^MAY RUN ANY CODE THROUGH THE INTERPRETER/);
  });

  it("is shown so that one argument cannot look like two", () => {
    expect(sentenceOf(exec(["a b", "c"]))).toContain('/usr/bin/git "a b" c');
    expect(sentenceOf(exec([], { file: { path: "/usr/lib/git", sha256: "0" } }))).toContain("(which is /usr/lib/git)");
  });
});
