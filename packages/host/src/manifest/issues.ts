import type { z } from "zod";
import { displayLine, isErrorCode } from "../kernel/index.ts";
import type { PathPart, Problems } from "./problems.ts";

/** zod's issues as problems of the manifest: plain words, exact paths. `input` is what was parsed. */
export function addIssues(error: z.ZodError, input: unknown, problems: Problems): void {
  for (const issue of error.issues) {
    const path = issue.path.map((part): PathPart => (typeof part === "symbol" ? String(part) : part));
    const value = valueAt(input, path);
    if (value === undefined && issue.code !== "unrecognized_keys") {
      problems.add(path[0] === "entry" ? "entry_invalid" : "manifest_invalid", path, "It is missing.", "Add it.");
      continue;
    }
    switch (issue.code) {
      case "unrecognized_keys":
        for (const key of issue.keys)
          problems.add("manifest_invalid", [...path, key], "This key is not known.", fixForKey(key, path));
        break;
      case "invalid_type":
        problems.add(
          "manifest_invalid",
          path,
          `It is ${kindOf(value)}, not ${KINDS[issue.expected] ?? issue.expected}.`,
          "Correct the value.",
        );
        break;
      case "invalid_value":
        problems.add(
          "manifest_invalid",
          path,
          `${shown(value)} is not known.`,
          `Use ${issue.values.map((item) => String(item)).join(", ")}.`,
        );
        break;
      case "too_small":
        problems.add(
          "manifest_invalid",
          path,
          issue.origin === "string" || issue.origin === "array" ? "It is empty." : `It is less than ${issue.minimum}.`,
          "Correct the value.",
        );
        break;
      case "too_big":
        problems.add("manifest_invalid", path, tooBig(issue.origin, String(issue.maximum)), "Shorten it.");
        break;
      case "invalid_key":
        problems.add(
          "manifest_invalid",
          path,
          issue.issues[0]?.message ?? "This key is not valid.",
          "Correct the key.",
        );
        break;
      case "invalid_union":
        problems.add(
          "manifest_invalid",
          path,
          `It is ${kindOf(value)}, not a JSON Schema.`,
          "Write { type: object, … }, or true or false.",
        );
        break;
      case "custom": {
        const { fix, code } = issue.params ?? {};
        problems.add(
          typeof code === "string" && isErrorCode(code) && code !== "usage" ? code : "manifest_invalid",
          path,
          issue.message,
          typeof fix === "string" ? fix : undefined,
        );
        break;
      }
      default:
        problems.add("manifest_invalid", path, `${shown(value)} ${issue.message}.`, "Correct the value.");
    }
  }
}

const KINDS: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  record: "a map",
};

function tooBig(origin: string, maximum: string): string {
  if (origin === "string") return `It has more than ${maximum} characters.`;
  return origin === "array" ? `It has more than ${maximum} items.` : `It is more than ${maximum}.`;
}

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string") return "text";
  return typeof value === "number" ? "a number" : "true or false";
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(displayLine(value, 60)) : displayLine(String(value), 60);
}

function fixForKey(key: string, path: readonly PathPart[]): string {
  if ((key === "private" || key === "loopback") && path[1] === "network")
    return "Remove it; only the operator admits local addresses (plugin approve --scope network+private=…).";
  if (key === "scripts" || key === "command" || key === "env" || key === "mounts" || key === "user")
    return "Remove it; a manifest never configures how its process is started.";
  return "Remove it, or correct its spelling.";
}

function valueAt(input: unknown, path: readonly PathPart[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}
