import { z } from "zod";
import { approvalAnswer, type PermissionAnswer, type PluginInfoAnswer, pluginInfoAnswer } from "../../wire/index.ts";
import { displayLine, HOST_RIGHTS, SallyportError } from "../../kernel/index.ts";
import { isInteractive } from "../io.ts";
import { askYes } from "../passphrase.ts";
import { isoTime, parseExpiry } from "../render/index.ts";
import type { Session } from "../session.ts";
import { flag, list, path, query, text, usage } from "./define.ts";
import { permissionList, summaryLine, toolTable } from "./views.ts";

/** The one yes: shows what is asked in the host's words, asks, and writes the grant. */
export async function approve(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
) {
  const plugin = await pluginToAnswer(session, id, text(options, "version"));
  const wanted = list(options, "only");
  const only = wanted && keysOf(wanted, plugin.permissions);
  const scopes = list(options, "scope");
  const allowTools = list(options, "allowTools");
  const enableTools = options["enableTools"] === false ? [] : list(options, "enableTools");
  const keepData = flag(options, "keepData") ? true : text(options, "keepData");
  const inProcess = flag(options, "inProcess");
  const expires = text(options, "expires");
  const expiresAt = expires === undefined ? undefined : parseExpiry(expires, session.io.now());

  const shown = only ? plugin.permissions.filter(({ key }) => only.includes(key)) : plugin.permissions;
  session.remark(
    [
      `${session.style.bold(`${displayLine(plugin.id)} ${displayLine(plugin.version)}`)} (${plugin.digest})\n`,
      permissionList(session, shown),
      only && only.length < plugin.permissions.length ? "Everything else that it asks for is left out.\n" : "",
      ...(scopes ?? []).map((scope) => `  with the scope ${displayLine(scope)}\n`),
      flag(options, "grantOnly") ? "" : enabledLine(plugin, [...(enableTools ?? allOf(plugin)), ...(allowTools ?? [])]),
      allowTools ? `Agents may call without being asked: ${displayLine(allowTools.join(", "))}\n` : "",
      keepData === undefined ? "" : "It takes over what another plugin of this id kept here.\n",
      expiresAt === undefined ? "" : `The grant ends ${isoTime(expiresAt)}.\n`,
      inProcess ? `${session.style.warn("!")} ${session.style.bold(`It ${HOST_RIGHTS}.`)}\n${IN_PROCESS}` : "",
    ].join(""),
  );
  if (!flag(options, "yes")) {
    if (!isInteractive(session.io) || session.json) {
      throw usage("Nobody can be asked here.", "Look at `sallyport plugin info`, then pass --yes.");
    }
    const question = inProcess ? "Run it as trusted code, with all that this host may do?" : "Grant this?";
    if (!(await askYes(session.io, question))) throw new SallyportError("cancelled", "Nothing was granted.");
  }
  const body = {
    version: plugin.version,
    ...(only && { only }),
    ...(scopes && { scopes }),
    ...(allowTools && { allow_tools: allowTools }),
    ...(enableTools && { enable_tools: enableTools }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
    ...(keepData !== undefined && { keep_data: keepData }),
    ...(flag(options, "grantOnly") && { grant_only: true }),
    ...(inProcess && { in_process: true }),
  };
  const answer = await session.call("POST", path("/api/plugins/approve", id), { body });
  const granted = pluginInfoAnswer.parse(answer["plugin"]);
  const warnings = LIVE.has(plugin.state) && !LIVE.has(granted.state) ? [STOPPED] : [];
  session.print({ success: true, plugin: answer["plugin"], warnings }, () =>
    [
      summaryLine(session, "Approved", granted),
      grantedList(granted.permissions),
      toolTable(granted.tools),
      ...warnings.map((warning) => `${session.style.warn("!")} ${warning}\n`),
      `Next: sallyport plugin load ${displayLine(plugin.id)}${text(options, "version") === undefined ? "" : ` --version ${displayLine(granted.version)}`}\n`,
    ].join(""),
  );
}

function allOf(plugin: PluginInfoAnswer): readonly string[] {
  return plugin.tools.map(({ tool }) => tool);
}

/** The tools above `read` that this yes makes available to agents. */
function enabledLine({ tools }: PluginInfoAnswer, names: readonly string[]): string {
  const above = tools.filter(({ effect }) => effect !== "read");
  if (above.length === 0) return "";
  const enabled = above.filter(({ name, tool }) => names.includes(tool) || names.includes(name));
  const listed = enabled.map(({ tool, effect }) => `${tool} (${effect})`).join(", ") || "none";
  return `Of its tools that can do more than read, there for agents as far as policy lets them: ${displayLine(listed, 2000)}\n`;
}

const IN_PROCESS =
  "  It is trusted code in this host's own process: it can read the vault and the home, open any file and connection\n" +
  "  and end the host. Well-behaved code meets the same gates as elsewhere; hostile code need not.\n";

/** States in which a plugin's tools can be called. */
const LIVE: ReadonlySet<string> = new Set(["starting", "running", "idle", "unhealthy"]);
const STOPPED = "It was stopped, since a process knows only the grant that it started with; load it again.";

/**
 * The version named, else the one that `plugin info` shows, unless others wait too: a yes never goes to another version than
 * the one that was shown.
 */
async function pluginToAnswer(session: Session, id: string, version: string | undefined): Promise<PluginInfoAnswer> {
  const plugin = await session.get(pluginInfoAnswer, "GET", `${path("/api/plugins/info", id)}${query({ version })}`);
  if (version !== undefined) return plugin;
  const open = await session.get(z.array(approvalAnswer), "GET", `/api/approvals${query({ state: "pending" })}`);
  const others = open
    .filter((request) => request.kind === "plugin" && request.plugin.id === plugin.id)
    .map((request) => request.plugin.version)
    .filter((waiting) => waiting !== plugin.version);
  if (others.length === 0) return plugin;
  const versions = displayLine([plugin.version, ...others].join(", "));
  throw new SallyportError("conflict", `There is more than one version of ${plugin.id} to answer: ${versions}.`, {
    detail: `Without a version this is about ${plugin.version}, which is ${plugin.state}.`,
    fix: `Say which one you mean: --version ${displayLine(others[0] ?? plugin.version)}`,
  });
}

function grantedList(permissions: readonly PermissionAnswer[]): string {
  const granted = permissions.filter((permission) => permission.granted);
  if (granted.length === 0) return "Nothing was granted: no network, no files, no secrets.\n";
  return `Granted:\n${granted.map(({ sentence }) => `  - ${displayLine(sentence, 500)}\n`).join("")}`;
}

/** A capability's name stands for all its requests. */
function keysOf(wanted: readonly string[], permissions: readonly PermissionAnswer[]): string[] {
  const keys = wanted.flatMap((name) => {
    const found = permissions.filter(({ key, capability }) => key === name || capability === name);
    if (found.length > 0) return found.map(({ key }) => key);
    throw usage(
      `It does not ask for ${displayLine(name)}.`,
      permissions.length === 0
        ? "It asks for nothing: leave --only out."
        : `It asks for ${displayLine(permissions.map(({ key }) => key).join(", "), 500)}.`,
    );
  });
  return [...new Set(keys)];
}
