import { z } from "zod";
import {
  type PermissionAnswer,
  pluginSummaryAnswer,
  type PluginSummaryAnswer,
  type ToolAnswer,
} from "../../wire/index.ts";
import { displayLine, HOST_RIGHTS } from "../../kernel/index.ts";
import type { Session } from "../session.ts";
import { table } from "../render/index.ts";
import { usage } from "./define.ts";

/** The permissions in the host's own sentences; the plugin's reason is marked as its word. */
export function permissionList(
  session: Session,
  permissions: readonly PermissionAnswer[],
  options: { readonly enforcement?: boolean } = {},
): string {
  if (permissions.length === 0) return "It asks for nothing: no network, no files, no secrets.\n";
  const line = (permission: PermissionAnswer): string => {
    const risk = permission.risk === "low" ? session.style.dim(permission.risk) : session.style.warn(permission.risk);
    const marks = [
      permission.required ? "" : "optional",
      permission.needs_scope ? "names no scope: grants nothing until you fill one in with --scope" : "",
      "not" in permission.enforced ? `cannot be enforced here: ${permission.enforced.not}` : "",
    ].filter((mark) => mark !== "");
    const reason = permission.reason === undefined ? "" : `\n      it says: “${displayLine(permission.reason)}”`;
    const state = permission.granted ? session.style.good(" (granted)") : "";
    const by =
      options.enforcement && "by" in permission.enforced
        ? `\n      ${session.style.dim(`enforced: ${displayLine(permission.enforced.by, 500)}`)}`
        : "";
    return `  - ${displayLine(permission.sentence, 500)} [${risk}]${state}${marks.length > 0 ? ` (${displayLine(marks.join("; "), 500)})` : ""}${reason}${by}\n      ${session.style.dim(displayLine(permission.key))}\n`;
  };
  return `It asks for:\n${permissions.map(line).join("")}`;
}

/** Who vouches for a plugin, in a word. */
export function signerOf({ signer }: PluginSummaryAnswer): string {
  if (signer.state === "signed") return signer.name ?? signer.key ?? "yes";
  return signer.state === "unsigned" ? "nobody" : "somebody unknown";
}

/** What the policy says when an agent calls a tool. */
const FOR_AGENTS: Readonly<Record<ToolAnswer["decision"], string>> = {
  allow: "may call it",
  require_approval: "must ask you",
  deny: "may not call it",
};

/** Each tool with its effect, and what agents may do with it. */
export function toolTable(tools: readonly ToolAnswer[]): string {
  return table(
    ["TOOL", "EFFECT", "AGENTS", "DESCRIPTION"],
    tools.map((tool) => [tool.name, tool.effect, FOR_AGENTS[tool.decision], tool.description]),
    "It has no tools.",
  );
}

export function summaryLine(session: Session, said: string, answer: unknown): string {
  const plugin = pluginSummaryAnswer.parse(answer);
  return `${session.style.good("✔")} ${said} ${displayLine(plugin.id)} ${displayLine(plugin.version)}: ${plugin.state}\n${
    plugin.contained === false ? `${session.style.warn("!")} It ${HOST_RIGHTS}.\n` : ""
  }`;
}

/** @throws {SallyportError} `usage` when the text is no JSON object. */
export function parseObject(json: string, option: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(json));
  } catch {
    throw usage(`${option} is not a JSON object.`, `Write ${option} '{"key":"value"}'.`);
  }
}
