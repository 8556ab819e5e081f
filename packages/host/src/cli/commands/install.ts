import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { displayLine, PolicyViolationError, type SallyportError } from "../../kernel/index.ts";
import { LOCK_FILE, type LockEntry, lockEntrySchema, lockKey } from "../../registry/index.ts";
import { installAnswer, type InstallAnswerBody, pluginSummaryAnswer } from "../../wire/index.ts";
import { createProgressBar } from "../render/index.ts";
import type { Session } from "../session.ts";
import { pinInProject, readLockOf, specOf } from "../project-lock.ts";
import { flag, path, text, usage } from "./define.ts";
import { permissionList } from "./views.ts";

type Options = Readonly<Record<string, unknown>>;

export async function install(session: Session, [source]: readonly string[], options: Options): Promise<void> {
  const project = text(options, "project");
  const folder = project === undefined ? undefined : resolve(project);
  if (flag(options, "frozen")) return installFrozen(session, source, folder ?? session.home, options);
  if (source === undefined)
    throw usage(
      "It is not said what to install.",
      "Give a folder, an archive or ID@RANGE, or --frozen for what a lock pins.",
    );
  const [load, dependencies] = [flag(options, "load"), flag(options, "dependencies")];
  const answer = await ask(session, { source: sourceOf(session, source), load, dependencies });
  for (const { lock } of [...answer.dependencies, answer])
    if (folder !== undefined) await pinInProject(folder, lockEntrySchema.parse(lock));
  const { plugin } = answer;
  const active = await session.get(pluginSummaryAnswer, "GET", path("/api/plugins/info", plugin.id));
  const version = active.version === plugin.version ? "" : ` --version ${displayLine(plugin.version)}`;
  session.print({ success: true, ...answer }, () =>
    [
      ...answer.dependencies.map((own) => `${told(session, own)}${neededBy(own)}\n\n`),
      told(session, answer),
      ...answer.dependencies.map((own) => `${nextOf({ ...own, loaded: false }, "")}\n`),
      `${nextOf(answer, version)}\n`,
    ].join(""),
  );
}

/** Everything that a lock pins, or the one of it that is named; the host refuses whatever is not exactly that. */
async function installFrozen(
  session: Session,
  source: string | undefined,
  folder: string,
  options: Options,
): Promise<void> {
  const pinned = await readLockOf(folder);
  const named = (entry: LockEntry): boolean =>
    source === undefined || entry.id === source || lockKey(entry) === source || entry.spec === resolve(source);
  const wanted = pinned.filter(named);
  if (wanted.length === 0 && source !== undefined) throw notPinned(source);
  const answers: InstallAnswerBody[] = [];
  for (const frozen of wanted) {
    const body = { source: specOf(frozen), load: flag(options, "load"), frozen };
    answers.push(await ask(session, body));
  }
  session.print({ success: true, installed: answers }, () =>
    answers.length === 0
      ? "The lock pins nothing.\n"
      : answers.map((answer) => installedLine(session, answer)).join(""),
  );
}

async function ask(session: Session, body: unknown): Promise<InstallAnswerBody> {
  const bar = createProgressBar(session.io.stderr);
  return session
    .get(installAnswer, "POST", "/api/plugins/install", { body, onStep: (step) => bar.update(step) })
    .finally(() => bar.end());
}

type Installed = InstallAnswerBody | InstallAnswerBody["dependencies"][number];

function told(session: Session, answer: Installed): string {
  const warnings = answer.warnings.map((warning) => `${session.style.warn("!")} ${displayLine(warning, 500)}\n`);
  return `${installedLine(session, answer)}${permissionList(session, answer.permissions)}${warnings.join("")}`;
}

function neededBy({ wanted_by }: InstallAnswerBody["dependencies"][number]): string {
  return wanted_by
    .map((who) => `${displayLine(who.id)} ${displayLine(who.version)} needs it (${displayLine(who.range)}).`)
    .join(" ");
}

function installedLine(session: Session, { plugin }: Installed): string {
  return `${session.style.good("✔")} Installed ${displayLine(plugin.id)} ${displayLine(plugin.version)} (${plugin.digest.slice(0, 19)}…): ${plugin.state}\n`;
}

function notPinned(source: string): SallyportError {
  return new PolicyViolationError("lock_mismatch", `The lock does not pin ${displayLine(source, 300)}.`, {
    detail: "With --frozen nothing is installed but what it pins.",
    fix: "Pin it first, without --frozen.",
    data: { file: LOCK_FILE, field: "entry", expected: "a pinned plugin", actual: displayLine(source, 300) },
  });
}

/**
 * A path that is there, else one below PLUGIN_DIR, else what a registry has; what can only be a path has to be there. A folder
 * that happens to lie where the operator stands never takes the place of what a registry has: it would need no signature.
 */
function sourceOf(session: Session, source: string): string {
  if (/^[a-z][a-z0-9-]*:/.test(source)) return source;
  if (/^[a-z][a-z0-9-]*(?:@|$)/.test(source) && existsSync(resolve(source))) {
    throw usage(
      `${displayLine(source, 500)} is the name of a file or folder here, and could be that of a plugin in a registry.`,
      `For what is here write ./${displayLine(source, 500)}, for a registry's NAME:${displayLine(source, 500)}.`,
    );
  }
  const folder = session.io.env["PLUGIN_DIR"];
  const places = [resolve(source), ...(folder && !isAbsolute(source) ? [resolve(folder, source)] : [])];
  const found = places.find((place) => source !== "" && existsSync(place));
  if (found !== undefined) return found;
  if (/^[a-z]/.test(source) && !/\.(?:tgz|tar)$/.test(source)) return source;
  throw usage(
    `There is no folder or archive ${displayLine(source, 500)}.`,
    "Give the folder that holds the plugin's manifest, an archive of one (.tgz), ID@VERSION of a registry, or npm:NAME@VERSION.",
  );
}

function nextOf(
  { plugin, loaded, approval, permissions }: Omit<InstallAnswerBody, "dependencies">,
  version: string,
): string {
  if (loaded) return "Loaded. See its tools: sallyport tool list";
  if (approval === undefined && (plugin.state === "approved" || plugin.state === "stopped"))
    return `Next: sallyport plugin load ${plugin.id}${version}`;
  const open = permissions.filter((permission) => permission.needs_scope).map(({ capability }) => capability);
  const scopes = [...new Set(open)].map((capability) => ` --scope ${EXAMPLE_SCOPES[capability] ?? `${capability}=…`}`);
  return `Next: sallyport plugin approve ${plugin.id}${version}${scopes.join("")}`;
}

/** What an operator may write where the plugin named no scope. */
const EXAMPLE_SCOPES: Readonly<Record<string, string>> = {
  filesystem: "filesystem=/FOLDER:r",
  network: "network=HOST:443",
};
