import { resolve } from "node:path";
import { displayLine } from "../../kernel/index.ts";
import type { Finding, Preset } from "../../vet/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, list, text, usage } from "./define.ts";

/** Looks at a plugin without running or installing it. Exits with 1 when the preset's findings are there. */
export async function vet(
  session: Session,
  context: CommandContext,
  [dir = "."]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [{ openSource, preparePlugin }, { findManifest, readManifest }, { passes, vetPlugin }] = await Promise.all([
    import("../../registry/index.ts"),
    import("../../manifest/index.ts"),
    import("../../vet/index.ts"),
  ]);
  const preset = presetOf(text(options, "preset") ?? "default");
  const findings = await vetPlugin(
    {
      open: () => openSource(resolve(dir)),
      prepare: (source) => preparePlugin(source, { findManifest, readManifest }),
    },
    { knownIds: list(options, "known") ?? [] },
  );
  const passed = passes(findings, preset);
  if (!passed) context.exitWith(1);
  const count = (severity: Finding["severity"]): number =>
    findings.filter((found) => found.severity === severity).length;
  const counts = { error: count("error"), warning: count("warning"), note: count("note") };
  session.print({ success: passed, preset, counts, findings }, () =>
    [
      findingLines(session, findings),
      `${passed ? session.style.good("✔") : session.style.bad("✘")} ${counts.error} errors, ${counts.warning} warnings, ${counts.note} notes (preset ${preset})\n`,
    ].join(""),
  );
}

function presetOf(value: string): Preset {
  if (value === "default" || value === "strict") return value;
  throw usage(`There is no preset ${displayLine(value)}.`, "Use default or strict.");
}

/** One finding after the other: severity, place, what, and how to mend it. */
export function findingLines(session: Session, findings: readonly Finding[]): string {
  const { style } = session;
  const shown = { error: style.bad("error"), warning: style.warn("warning"), note: "note" };
  return findings
    .map(({ severity, file, line, rule, message, fix }) => {
      const place = `${displayLine(file, 300)}${line === null ? "" : `:${line}`}`;
      return `${shown[severity]} ${place === "" ? "" : `${place} `}${displayLine(message, 500)} [${rule}]\n    ${displayLine(fix, 300)}\n`;
    })
    .join("");
}
