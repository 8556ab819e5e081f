import { displayText, type SallyportError } from "../../kernel/index.ts";
import type { Style } from "./style.ts";

/** What, why and how to fix it, on lines of their own. */
export function renderError(error: SallyportError, style: Style): string {
  const { approval, problems } = error.data;
  const lines = [`${style.bad("✖")} ${displayText(error.message)}`];
  if (error.detail) lines.push(`  ${style.dim("why:")} ${displayText(error.detail)}`);
  for (const problem of Array.isArray(problems) ? problems.slice(0, 20) : []) lines.push(`    ${problemLine(problem)}`);
  if (error.fix) lines.push(`  ${style.dim("fix:")} ${displayText(error.fix)}`);
  if (isRecord(approval)) lines.push(`  ${style.dim("approval:")} ${displayText(String(approval["id"]))}`);
  return `${lines.join("\n")}\n`;
}

function problemLine(problem: unknown): string {
  if (!isRecord(problem)) return displayText(JSON.stringify(problem) ?? "", 300);
  const { path, problem: what } = problem;
  const where = typeof path === "string" && path !== "" ? `${path}: ` : "";
  return displayText(`${where}${typeof what === "string" ? what : ""}`, 300);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
