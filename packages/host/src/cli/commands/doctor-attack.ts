import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { displayLine, ISOLATION_LEVELS, SallyportError } from "../../kernel/index.ts";
import type { Attack, AttackResult, LevelResult } from "../attack/index.ts";
import { createProgressBar } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, list, text, usage } from "./define.ts";

/** As the build copied them from the repository. */
const OWN_PLUGINS = fileURLToPath(new URL("../../../dist/plugins/", import.meta.url));

/** Exit code when something got out. */
const ESCAPED = 5;

/** What no attack can show to be absent; said with every report. */
export const RESIDUAL_RISK =
  "Not covered by any attack: flaws of the kernel itself, side channels (timing, caches, load), and whether what a plugin answers is true.";

/** `sallyport doctor --attack`: touches nothing but a throw-away home and what was planted beside it. */
export async function attack(
  session: Session,
  context: CommandContext,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { io } = session;
  const plugins = pluginFolder(text(options, "plugins"));
  const { levelsToAttack, packageAttacks, readAttacks, runSettings, settingsOf } = await import("../attack/index.ts");
  const all = [...(await readAttacks(join(plugins, "hostile"))), ...packageAttacks()];
  const attacks = chosen(all, list(options, "only"));
  const levels = wanted(await levelsToAttack(), list(options, "level"));
  const settings = settingsOf(levels);
  session.remark(
    `${attacks.length} attacks at ${settings.length} settings, in a throw-away home; your own is not touched.\n`,
  );

  const bar = createProgressBar(io.stderr);
  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new SallyportError("cancelled", "The attack run was interrupted."));
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  let results: readonly LevelResult[];
  try {
    results = await runSettings(settings, {
      plugins,
      attacks,
      onStep: session.json ? () => undefined : bar.update,
      signal: stop.signal,
    });
  } finally {
    bar.end();
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
  const escaped = results.reduce((sum, result) => sum + result.escaped, 0);
  session.print({ levels: results, residual_risk: RESIDUAL_RISK }, () => report(session, results));
  if (escaped > 0) context.exitWith(ESCAPED);
}

function pluginFolder(given: string | undefined): string {
  const folder = given ?? OWN_PLUGINS;
  if (existsSync(join(folder, "hostile", "attacks.json"))) return folder;
  throw new SallyportError("not_found", "The hostile plugins are not here.", {
    detail: `There is no hostile/attacks.json in ${folder}.`,
    fix: "Install Sallyport again, or pass --plugins DIR with the folder `plugins` of its repository.",
  });
}

function chosen(attacks: readonly Attack[], only: readonly string[] | undefined): readonly Attack[] {
  if (only === undefined) return attacks;
  const found = attacks.filter(({ name, group, plugin }) => [name, group, plugin].some((word) => only.includes(word)));
  const groups = [...new Set(attacks.map(({ group }) => group))].join(", ");
  if (found.length === 0) {
    throw usage(`There is no attack or group "${only.join(", ")}".`, `Groups are: ${groups}.`);
  }
  return found;
}

function wanted<T extends string>(available: readonly T[], asked: readonly string[] | undefined): readonly T[] {
  const unknown = asked?.find((level) => !ISOLATION_LEVELS.some((known) => known === level));
  if (unknown !== undefined) throw usage(`"${unknown}" is no level.`, `Levels are: ${ISOLATION_LEVELS.join(", ")}.`);
  const levels = asked === undefined ? available : available.filter((level) => asked.includes(level));
  if (levels.length > 0) return levels;
  throw new SallyportError("isolation_unavailable", "There is no such level here to attack.", {
    detail: `Available here: ${available.join(", ") || "none"}.`,
    fix: "Run: sallyport doctor",
  });
}

function report({ style }: Session, results: readonly LevelResult[]): string {
  const lines: string[] = [];
  for (const result of results) {
    const walls = result.permissions === "open" ? ", the runtime's own permissions all open" : "";
    lines.push("", style.bold(`Level ${result.level}${walls}`));
    for (const found of result.attacks) lines.push(`  ${line(found, style)}`);
    lines.push(`  ${summary(result)}`);
  }
  const escaped = results.reduce((sum, result) => sum + result.escaped, 0);
  lines.push(
    "",
    escaped === 0
      ? style.good("✔ Every attack was contained that these levels promise to contain.")
      : style.bad(`✘ ${escaped} attacks escaped. Do not run plugins that you do not trust at these levels.`),
    RESIDUAL_RISK,
    "",
  );
  return lines.join("\n");
}

function line(found: AttackResult, style: Session["style"]): string {
  const what = `${found.name}: ${displayLine(found.tries, 120)}`;
  const told = displayLine(found.evidence, 240);
  if (!found.guaranteed) {
    const outcome = found.contained ? `stopped by ${found.layer} this time` : "not stopped";
    return `${style.warn("·")} ${what} → not guaranteed here (${outcome}): ${told}`;
  }
  if (found.contained) return `${style.good("✔")} ${what} → contained by ${found.layer}: ${told}`;
  return `${style.bad("✘")} ${what} → ESCAPED: ${told}`;
}

function summary({ attacks, contained, escaped, not_guaranteed }: LevelResult): string {
  const layers = new Map<string, number>();
  for (const { layer } of attacks) if (layer !== null) layers.set(layer, (layers.get(layer) ?? 0) + 1);
  const by = [...layers].toSorted((a, b) => b[1] - a[1]).map(([layer, count]) => `${layer} ${count}`);
  return `${contained} contained, ${escaped} escaped, ${not_guaranteed} not guaranteed here. Stopped by: ${by.join(", ")}.`;
}
