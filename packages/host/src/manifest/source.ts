import { displayLine, type ErrorCode, hasHiddenCharacters, LIMITS } from "../kernel/index.ts";
import { collectProblems, manifestError, type PathPart, type Problems, pathText } from "./problems.ts";
import { parseJsonSource } from "./source-json.ts";
import { parseYamlSource } from "./source-yaml.ts";

export interface SourceProblem {
  readonly code?: ErrorCode;
  readonly path?: readonly PathPart[];
  readonly problem: string;
  readonly fix?: string;
}

const MAX_NODES = 20_000;
const MAX_KEY = 256;
const PROTOTYPE_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Bytes of a manifest to plain data: objects, arrays, text, finite numbers, booleans, null. Nothing hostile is left in its form:
 * depth, nodes and keys are bounded, no key reaches a prototype, no text has hidden characters.
 * @throws {SallyportError} `manifest_too_large`, `manifest_invalid`; `data.path`, `data.file`, `data.problems`.
 */
export function readSource(file: { readonly name: string; readonly bytes: Uint8Array }): unknown {
  const fail = (problem: SourceProblem): never => {
    const path = pathText(problem.path ?? []);
    throw manifestError(problem.code ?? "manifest_invalid", file.name, [
      { path, problem: displayLine(problem.problem, 300), ...(problem.fix === undefined ? {} : { fix: problem.fix }) },
    ]);
  };
  if (file.bytes.length > LIMITS.manifestBytes) {
    fail({
      code: "manifest_too_large",
      problem: `The manifest has ${file.bytes.length} bytes; ${LIMITS.manifestBytes} are allowed.`,
      fix: "Make it smaller.",
    });
  }
  const text = decode(file.bytes) ?? fail({ problem: "The file is not UTF-8 text.", fix: "Save it as UTF-8." });
  if (text.startsWith("\ufeff"))
    fail({ problem: "The file starts with a byte order mark.", fix: "Save it as UTF-8 without a byte order mark." });
  const parsed = file.name.endsWith(".json") ? parseJsonSource(text) : parseYamlSource(text);
  if ("problem" in parsed) return fail(parsed.problem);
  const problems = collectProblems(file.name);
  inspect(parsed.value, problems);
  problems.settle();
  return parsed.value;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Looks at every key and value, however deep: schemas and their descriptions too. */
function inspect(root: unknown, problems: Problems): void {
  let nodes = 0;
  const visit = (value: unknown, path: readonly PathPart[], depth: number): void => {
    if (++nodes > MAX_NODES) {
      if (nodes === MAX_NODES + 1)
        problems.add("manifest_too_large", [], `The manifest has more than ${MAX_NODES} values.`, "Make it smaller.");
      return;
    }
    if (depth > LIMITS.jsonDepth)
      return problems.add(
        "manifest_too_large",
        path,
        `It is nested deeper than ${LIMITS.jsonDepth} levels.`,
        "Flatten it.",
      );
    if (typeof value === "string") return inspectText(value, path, problems);
    if (typeof value === "number" && !Number.isFinite(value))
      return problems.add("manifest_invalid", path, "This number is too large, or none.", "Write a finite number.");
    if (Array.isArray(value)) return value.forEach((item, index) => visit(item, [...path, index], depth + 1));
    if (typeof value !== "object" || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      const here = [...path, key];
      if (key.length > MAX_KEY)
        problems.add(
          "manifest_too_large",
          path,
          `A key has ${key.length} characters; ${MAX_KEY} are allowed.`,
          "Shorten it.",
        );
      else if (PROTOTYPE_KEYS.has(key))
        problems.add("manifest_invalid", here, `The key "${key}" is refused.`, "Use another name.");
      else {
        inspectText(key, here, problems);
        visit(member, here, depth + 1);
      }
    }
  };
  visit(root, [], 0);
}

function inspectText(text: string, path: readonly PathPart[], problems: Problems): void {
  if (!text.isWellFormed())
    return problems.add("manifest_invalid", path, "The text has half a surrogate pair.", "Write the whole character.");
  if (!hasHiddenCharacters(text)) return;
  const hidden = Array.from(text).find((char) => hasHiddenCharacters(char)) ?? "";
  const code = (hidden.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  problems.add(
    "manifest_invalid",
    path,
    `The text has an invisible or direction-changing character (U+${code}).`,
    "Remove it; people must see what they approve.",
  );
}
