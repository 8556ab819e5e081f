import {
  createInterpreters,
  lookAtInterpreters,
  placeEngine,
  type ProbeReport,
  probeIsolation,
} from "../../isolation/index.ts";
import { displayLine, ISOLATION_LEVELS, toSallyportError } from "../../kernel/index.ts";
import { doctorAnswer } from "../../wire/index.ts";
import type { Session } from "../session.ts";
import { type Check, checkPlaces } from "./places.ts";
import { floorOf, lookAtMachine, raiseCommand } from "./raise.ts";

/**
 * `sallyport doctor`: what this machine has, what the home is made of, and what its host says of itself. A home that is missing or
 * broken is a finding, not an end. @returns whether all is well.
 */
export async function doctor(session: Session): Promise<boolean> {
  const places = checkPlaces(session.home, session.io.env);
  const answered = await askOwner(session, places);
  const checks = [...places, ...answered.checks];
  const bwrapInstalled = !checks.some(
    ({ name, detail }) => name === "isolation namespace" && /bwrap is not/.test(detail),
  );
  const raise = raiseCommand(lookAtMachine(answered.available, bwrapInstalled));
  const ok = checks.every((check) => check.ok);
  const answer = { ok, level: answered.available[0] ?? null, available: answered.available, raise, checks };
  session.print(answer, () => shown(session, answer));
  return ok;
}

interface Answered {
  readonly available: readonly (typeof ISOLATION_LEVELS)[number][];
  readonly checks: readonly Check[];
}

async function askOwner(session: Session, places: readonly Check[]): Promise<Answered> {
  const [home] = places;
  if (home?.ok !== true) return withoutOwner();
  try {
    return doctorAnswer.parse((await session.call("GET", "/api/doctor"))["result"]);
  } catch (error) {
    const { message, detail, fix } = toSallyportError(error);
    const own = { name: "host", ok: false, detail: [message, detail].filter(Boolean).join(" "), fix };
    const alone = await withoutOwner();
    return { ...alone, checks: [own, ...alone.checks] };
  }
}

/** What a machine can do is known without any home. */
async function withoutOwner(): Promise<Answered> {
  const hostIsRoot = process.getuid?.() === 0;
  try {
    const { report } = await probeIsolation({ engine: await placeEngine({ hostIsRoot }), hostIsRoot });
    const { available } = report;
    return { available, checks: [...levelsOf(report), ...(await interpretersHere(available))] };
  } catch (error) {
    const { message, detail, fix } = toSallyportError(error);
    return { available: [], checks: [{ name: "isolation", ok: false, detail: detail ?? message, fix }] };
  }
}

function levelsOf({ levels, available }: ProbeReport): readonly Check[] {
  return ISOLATION_LEVELS.map((level): Check => {
    const found = levels[level];
    if (found.available) return { name: `isolation ${level}`, ok: true, detail: found.detail };
    const enough = available.length > 0 || level === "in-process";
    return { name: `isolation ${level}`, ok: enough, detail: `not available: ${found.reason}`, fix: found.fix };
  });
}

/** Without a home nobody has named one. */
async function interpretersHere(levels: Answered["available"]): Promise<readonly Check[]> {
  const reports = await lookAtInterpreters(createInterpreters({ named: () => undefined }), levels);
  return reports.map((report): Check => {
    const name = `interpreter ${report.kind}`;
    if (report.available) return { name, ok: true, detail: report.detail };
    return { name, ok: true, detail: `not available: ${report.reason}`, fix: report.fix };
  });
}

interface Answer extends Answered {
  readonly ok: boolean;
  readonly level: string | null;
  readonly raise: string | null;
}

function shown({ style }: Session, { level, available, raise, checks, ok }: Answer): string {
  const lines = [
    `Isolation here: ${style.bold(level ?? "none")} (available: ${available.join(", ") || "none"}); ${floorOf(available)}`,
    ...(raise === null ? [] : [`To raise it: ${style.bold(raise)}`]),
  ];
  for (const check of checks) {
    lines.push(
      `${check.ok ? style.good("✔") : style.warn("!")} ${displayLine(check.name)}: ${displayLine(check.detail, 500)}`,
    );
    if (!check.ok && check.fix !== undefined) lines.push(`    ${style.dim("fix:")} ${displayLine(check.fix, 500)}`);
  }
  const failed = checks.filter((check) => !check.ok).length;
  lines.push(ok ? style.good("✔ All is well.") : `${failed} of ${checks.length} checks failed.`, "");
  return lines.join("\n");
}
