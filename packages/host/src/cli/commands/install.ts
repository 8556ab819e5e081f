import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { displayLine } from "../../kernel/index.ts";
import { installAnswer, type InstallAnswerBody, pluginSummaryAnswer } from "../../wire/index.ts";
import { createProgressBar } from "../render/index.ts";
import type { Session } from "../session.ts";
import { flag, path, usage } from "./define.ts";
import { permissionList } from "./views.ts";

export async function install(
  session: Session,
  [source = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const folder = resolve(source);
  if (!existsSync(folder))
    throw usage(
      `There is no folder or archive ${displayLine(source, 500)}.`,
      "Give the folder that holds the plugin's manifest, or an archive of one (.tgz).",
    );
  const bar = createProgressBar(session.io.stderr);
  const body = { source: sourceOf(session, source), load: flag(options, "load") };
  const answer = await session
    .get(installAnswer, "POST", "/api/plugins/install", { body, onStep: (step) => bar.update(step) })
    .finally(() => bar.end());
  const { plugin } = answer;
  const active = await session.get(pluginSummaryAnswer, "GET", path("/api/plugins/info", plugin.id));
  const version = active.version === plugin.version ? "" : ` --version ${displayLine(plugin.version)}`;
  session.print({ success: true, ...answer }, () =>
    [
      `${session.style.good("✔")} Installed ${displayLine(plugin.id)} ${displayLine(plugin.version)} (${plugin.digest.slice(0, 19)}…): ${plugin.state}\n`,
      permissionList(session, answer.permissions),
      ...answer.warnings.map((warning) => `${session.style.warn("!")} ${displayLine(warning, 500)}\n`),
      `${nextOf(answer, version)}\n`,
    ].join(""),
  );
}

/** A path that is there, else one below PLUGIN_DIR, else what a registry has; what can only be a path has to be there. */
function sourceOf(session: Session, source: string): string {
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

function nextOf({ plugin, loaded, approval, permissions }: InstallAnswerBody, version: string): string {
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
