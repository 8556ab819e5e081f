import { z } from "zod";
import { displayText, HOST_RIGHTS, levelInWords } from "../../kernel/index.ts";
import { logLineAnswer, type PluginInfoAnswer, pluginInfoAnswer } from "../../wire/index.ts";
import { fields, isoTime, safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { path, query, text } from "./define.ts";
import { logLine } from "./plugin-logs.ts";
import { permissionList, toolTable } from "./views.ts";

const NO_LEVEL = "no level here is enough, so it does not start";
/** Lines of the log that explain a failure. */
const LAST_LINES = 5;

/** Everything that a person needs to know of one plugin, why it failed included; with `--json` the owner's answer as it is. */
export async function info(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const wanted = query({ version: text(options, "version") });
  const { result } = await session.call("GET", `${path("/api/plugins/info", id)}${wanted}`);
  const plugin = pluginInfoAnswer.parse(result);
  const log = !session.json && hasFailed(plugin) ? await lastLines(session, plugin.id) : "";
  session.print(result, () =>
    [
      fields([
        ["id", plugin.id],
        ["name", plugin.name],
        ["version", plugin.version],
        ["description", plugin.description],
        ["state", stateOf(plugin)],
        ["health", plugin.health.status],
        ["isolation", plugin.isolation === null ? NO_LEVEL : levelInWords(plugin.isolation)],
        ["digest", plugin.digest],
        ["source", plugin.source],
        ["signed", signedOf(plugin)],
        ["installed", isoTime(plugin.installed_at)],
        ["calls", `${plugin.execution_count}, ${plugin.error_count} failed`],
        ["granted", grantOf(plugin)],
        ...(plugin.last_error === null ? [] : [["last error", plugin.last_error] as const]),
      ]),
      log,
      "\n",
      permissionList(session, plugin.permissions, { enforcement: true }),
      "\n",
      toolTable(plugin.tools),
      "\n",
      configOf(plugin.config),
    ].join(""),
  );
}

function hasFailed(plugin: PluginInfoAnswer): boolean {
  return plugin.last_error !== null || plugin.state === "failed" || plugin.state === "unhealthy";
}

async function lastLines(session: Session, id: string): Promise<string> {
  const target = `${path("/api/plugins/logs", id)}${query({ limit: LAST_LINES })}`;
  const lines = await session.get(z.array(logLineAnswer), "GET", target);
  if (lines.length === 0) return "";
  return `\nThe last lines of its log (all: sallyport plugin logs ${id}):\n${lines.map((line) => `  ${logLine(session, line)}`).join("")}`;
}

function stateOf(plugin: PluginInfoAnswer): string {
  return plugin.enabled || plugin.state === "disabled" ? plugin.state : `${plugin.state}, disabled`;
}

function signedOf({ trust }: PluginInfoAnswer): string {
  const [first = ""] = trust.reasons;
  return trust.verdict === "verified" ? first : `${trust.verdict}: ${first}`;
}

function grantOf({ grant }: PluginInfoAnswer): string {
  if (grant === null) return "nothing";
  const end = grant.expires_at === undefined ? "" : `, until ${isoTime(grant.expires_at)}`;
  const rights = grant.in_process === true ? `; IN THE HOST'S PROCESS, where it ${HOST_RIGHTS}` : "";
  return `${isoTime(grant.granted_at)} by ${grant.granted_by}${end}${rights}`;
}

function configOf(config: Readonly<Record<string, unknown>>): string {
  if (Object.keys(config).length === 0) return "Its configuration is empty.\n";
  const indented = displayText(safeJson(config, 2), 20_000).replaceAll("\n", "\n  ");
  return `Its configuration:\n  ${indented}\n`;
}
