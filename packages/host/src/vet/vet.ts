import { SallyportError } from "../kernel/index.ts";
import { checkFiles, checkTools } from "./check-files.ts";
import { checkPermissions } from "./check-permissions.ts";
import { checkTexts } from "./check-text.ts";
import { checkLookAlikes } from "./look-alike.ts";
import { refused } from "./refusals.ts";
import { type Finding, type Preset, SEVERITIES, type Subject, type VetOptions, type VetPorts } from "./types.ts";

const SCAN_BYTES = 64 * 1024 * 1024;

/**
 * Looks at a plugin as installing would, and further, and runs nothing of it. What installing refuses is one finding or more; the rest
 * is advice for people, since the sandbox is what contains.
 * @throws {SallyportError} `not_found`, and what no plugin is to blame for.
 */
export async function vetPlugin(ports: VetPorts, options: VetOptions = {}): Promise<readonly Finding[]> {
  try {
    const prepared = await ports.prepare(await ports.open());
    const notes = prepared.notes.map((message): Finding => ({
      rule: "manifest",
      severity: "note",
      file: prepared.manifestFile,
      line: null,
      message,
      fix: "Nothing has to be done; write it as it is read.",
    }));
    return inOrder([...notes, ...findingsOf(prepared, options)]);
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code === "not_found" || error.category === "internal") throw error;
    return refused(error);
  }
}

/** The same checks over a plugin that is prepared already, worst first. */
export function findingsOf(
  subject: Subject,
  { knownIds = [], scanBytes = SCAN_BYTES }: VetOptions = {},
): readonly Finding[] {
  const imports = subject.imports.map(({ file, line, problem }): Finding => ({
    rule: "imports",
    severity: "warning",
    file,
    line,
    message: `${problem}.`,
    fix: "Write it without; what it would do cannot be seen before it runs.",
  }));
  return inOrder([
    ...imports,
    ...checkPermissions(subject),
    ...checkLookAlikes(subject, knownIds),
    ...checkFiles(subject),
    ...checkTools(subject),
    ...checkTexts(subject, scanBytes),
  ]);
}

/** Whether a preset lets these pass. */
export function passes(findings: readonly Finding[], preset: Preset): boolean {
  return !findings.some(({ severity }) => severity === "error" || (preset === "strict" && severity === "warning"));
}

function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}
