import { type PermissionAnswer, pluginInfoAnswer } from "../../wire/index.ts";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import { isInteractive } from "../io.ts";
import { askYes } from "../passphrase.ts";
import { isoTime, parseExpiry } from "../render/index.ts";
import type { Session } from "../session.ts";
import { flag, list, path, text, usage } from "./define.ts";
import { permissionList, summaryLine } from "./views.ts";

/** The one yes: shows what is asked in the host's words, asks, and writes the grant. */
export async function approve(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
) {
  const plugin = await session.get(pluginInfoAnswer, "GET", path("/api/plugins/info", id));
  const wanted = list(options, "only");
  const only = wanted && keysOf(wanted, plugin.permissions);
  const scopes = list(options, "scope");
  const allowTools = list(options, "allowTools");
  const expires = text(options, "expires");
  const expiresAt = expires === undefined ? undefined : parseExpiry(expires, session.io.now());

  const shown = only ? plugin.permissions.filter(({ key }) => only.includes(key)) : plugin.permissions;
  session.remark(
    [
      `${session.style.bold(`${displayLine(plugin.id)} ${displayLine(plugin.version)}`)} (${plugin.digest})\n`,
      permissionList(session, shown),
      only && only.length < plugin.permissions.length ? "Everything else that it asks for is left out.\n" : "",
      ...(scopes ?? []).map((scope) => `  with the scope ${displayLine(scope)}\n`),
      allowTools ? `Agents may call without being asked: ${displayLine(allowTools.join(", "))}\n` : "",
      expiresAt === undefined ? "" : `The grant ends ${isoTime(expiresAt)}.\n`,
    ].join(""),
  );
  if (!flag(options, "yes")) {
    if (!isInteractive(session.io) || session.json) {
      throw usage("Nobody can be asked here.", "Look at `sallyport plugin info`, then pass --yes.");
    }
    if (!(await askYes(session.io, "Grant this?"))) throw new SallyportError("cancelled", "Nothing was granted.");
  }
  const body = {
    ...(only && { only }),
    ...(scopes && { scopes }),
    ...(allowTools && { allow_tools: allowTools }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
    ...(flag(options, "grantOnly") && { grant_only: true }),
  };
  const answer = await session.call("POST", path("/api/plugins/approve", id), { body });
  session.print({ success: true, plugin: answer["plugin"] }, () => {
    return `${summaryLine(session, "Approved", answer["plugin"])}Next: sallyport plugin load ${displayLine(plugin.id)}\n`;
  });
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
