import { CST, Composer, isCollection, isMap, isScalar, Lexer, type Node, Parser } from "yaml";
import { LIMITS } from "../kernel/index.ts";
import type { PathPart } from "./problems.ts";
import type { SourceProblem } from "./source.ts";

/* Tokens of the lexer, white space included; a manifest of 256 KiB in plain style has about 30,000. */
const MAX_TOKENS = 60_000;

const REFUSED: Partial<Record<CST.TokenType, string>> = {
  anchor: "an anchor (&name)",
  alias: "an alias (*name)",
  tag: "a tag (!name)",
  "directive-line": "a directive (%…)",
};

/**
 * Parses the plain part of YAML 1.2: no anchors, aliases, tags, merge keys, directives or second document. The lexer, which is
 * a linear stream, decides that and bounds the tokens, so that the parsers behind it, which are neither, see only harmless text.
 */
export function parseYamlSource(text: string): { value: unknown } | { problem: SourceProblem } {
  const refused = scanTokens(text);
  if (refused !== undefined) return { problem: refused };
  const tokens = [...new Parser().parse(text)];
  if (deeperThan(tokens, LIMITS.jsonDepth * 2)) return { problem: tooDeep() };
  const documents = [
    ...new Composer({
      version: "1.2",
      schema: "core",
      strict: true,
      uniqueKeys: false,
      stringKeys: false,
      merge: false,
      resolveKnownTags: false,
      logLevel: "silent",
    }).compose(tokens, true, text.length),
  ];
  const [document] = documents;
  if (document === undefined || documents.length > 1) {
    return {
      problem: {
        problem: "The file holds more than one YAML document.",
        fix: "Keep one; remove the lines of --- after the first.",
      },
    };
  }
  const [error] = document.errors;
  if (error !== undefined) {
    const line = text.slice(0, error.pos[0]).split("\n").length;
    return {
      problem: {
        problem: `This is not valid YAML (line ${line}): ${error.message.split("\n")[0] ?? ""}`,
        fix: "Correct the syntax.",
      },
    };
  }
  return toValue(document.contents);
}

function tooDeep(): SourceProblem {
  return {
    code: "manifest_too_large",
    problem: `The manifest is nested deeper than ${LIMITS.jsonDepth} levels.`,
    fix: "Flatten it.",
  };
}

function scanTokens(text: string): SourceProblem | undefined {
  let count = 0;
  let scalarNext = false;
  for (const source of new Lexer().lex(text)) {
    if (++count > MAX_TOKENS)
      return { code: "manifest_too_large", problem: "The manifest has too many parts.", fix: "Make it shorter." };
    if (scalarNext) {
      scalarNext = false;
      continue;
    }
    if (source === CST.SCALAR) scalarNext = true;
    const type = CST.tokenType(source);
    const name = type === null ? undefined : REFUSED[type];
    if (name !== undefined) {
      return {
        problem: `The manifest uses ${name} of YAML: ${JSON.stringify(source.slice(0, 40))}.`,
        fix: "Write the value out; put quotes around text that starts with &, *, ! or %.",
      };
    }
  }
  return undefined;
}

/** Walks the concrete syntax tree level by level, without recursion. */
function deeperThan(tokens: readonly CST.Token[], limit: number): boolean {
  let level: CST.Token[] = [...tokens];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    level = level.flatMap(childrenOf);
  }
  return false;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === "document") return token.value === undefined ? [] : [token.value];
  if (!("items" in token)) return [];
  const children: CST.Token[] = [];
  for (const item of token.items) {
    if (item.key) children.push(item.key);
    if (item.value !== undefined) children.push(item.value);
  }
  return children;
}

/** Nodes to plain values; depth is bounded by now. Keys must be text and there once. */
function toValue(root: Node | null): { value: unknown } | { problem: SourceProblem } {
  let problem: SourceProblem | undefined;
  const note = (path: readonly PathPart[], text: string, fix: string): undefined => {
    problem ??= { path, problem: text, fix };
    return undefined;
  };
  const convert = (node: unknown, path: readonly PathPart[]): unknown => {
    if (node === null || node === undefined) return null;
    if (isScalar(node)) return typeof node.value === "bigint" ? Number(node.value) : node.value;
    if (!isCollection(node)) return note(path, "This YAML is refused.", "Use plain values, lists and maps.");
    if (!isMap(node)) return node.items.map((item, index) => convert(item, [...path, index]));
    const entries: [string, unknown][] = [];
    const seen = new Set<string>();
    for (const { key, value } of node.items) {
      if (!isScalar(key) || typeof key.value !== "string") {
        note(
          path,
          `A key is not text: ${isScalar(key) ? JSON.stringify(key.value) : "a list or a map"}.`,
          "Put quotes around it.",
        );
        continue;
      }
      if (seen.has(key.value))
        note(path, `The key ${JSON.stringify(key.value.slice(0, 60))} is there twice.`, "Keep one of the two.");
      seen.add(key.value);
      entries.push([key.value, convert(value, [...path, key.value])]);
    }
    return Object.fromEntries(entries);
  };
  const value = convert(root, []);
  return problem === undefined ? { value } : { problem };
}
