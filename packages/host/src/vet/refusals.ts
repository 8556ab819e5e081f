import type { SallyportError } from "../kernel/index.ts";
import type { Finding, Rule } from "./types.ts";

const RULE_OF: Readonly<Record<string, Rule>> = {
  source_unsafe: "source",
  source_too_large: "size",
  bundle_failed: "imports",
  entry_invalid: "imports",
};

/** What a refusal of opening or preparing says, as findings: one for each of its problems, which installing refuses as well. */
export function refused(error: SallyportError): readonly Finding[] {
  const rule = RULE_OF[error.code] ?? "manifest";
  const whole: Finding = {
    rule,
    severity: "error",
    file: textOf(error.data["file"]) ?? "",
    line: null,
    message: error.message,
    fix: error.fix ?? "See the message.",
  };
  const problems: unknown = error.data["problems"];
  if (!Array.isArray(problems) || problems.length === 0) return [whole];
  return problems.filter(isRecord).map((problem) => {
    const path = textOf(problem["path"]);
    const text = textOf(problem["problem"]) ?? error.message;
    return {
      ...whole,
      file: textOf(problem["file"]) ?? whole.file,
      line: typeof problem["line"] === "number" ? problem["line"] : null,
      message: path === undefined || path === "" ? text : `${path}: ${text}`,
      fix: textOf(problem["fix"]) ?? whole.fix,
    };
  });
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
