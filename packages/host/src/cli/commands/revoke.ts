import type { Command } from "commander";
import { z } from "zod";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import { revocationAnswer, revokedAnswer } from "../../wire/index.ts";
import { isInteractive } from "../io.ts";
import { askYes } from "../passphrase.ts";
import { isoTime, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, path, text, usage, verb } from "./define.ts";
import { summaryLine } from "./views.ts";

type Options = Readonly<Record<string, unknown>>;

const API = "/api/revocations";

export function defineRevocationCommands(plugin: Command, context: CommandContext): void {
  verb(
    plugin,
    context,
    "revoke [id]",
    "stop a plugin for good; the same code never runs again here",
    "sallyport plugin revoke weather --reason 'leaks data'",
    revoke,
  )
    .option("--digest <digest>", "instead of an id: exactly these bytes, by their tree digest")
    .option("--code-digest <digest>", "instead of an id: this code, under whatever id, version or packing")
    .option("--publisher <key>", "instead of an id: whatever this key signed, or will")
    .option("--absent", "revoke the id although no plugin of that id is installed")
    .option("--reason <text>", "why, for the audit")
    .option("-y, --yes", "do not ask");
  verb(
    plugin,
    context,
    "revocations",
    "list what was revoked here; nothing is ever taken off this list",
    "sallyport plugin revocations",
    revocations,
  );
}

const KINDS = {
  digest: "tree_digest",
  codeDigest: "code_digest",
  publisher: "publisher_key",
} as const;

async function revoke(session: Session, [id]: readonly string[], options: Options): Promise<void> {
  const marks = (["digest", "codeDigest", "publisher"] as const).flatMap((name) => {
    const value = text(options, name);
    return value === undefined ? [] : [{ kind: KINDS[name], value }];
  });
  const [mark, second] = id === undefined ? marks : [{ kind: "id" as const, value: id }, ...marks];
  if (mark === undefined || second !== undefined) {
    throw usage("Say what to revoke: one id, digest, code digest or key.", "sallyport plugin revoke weather");
  }
  if (isInteractive(session.io) && !flag(options, "yes")) {
    const what = displayLine(mark.value, 200);
    if (!(await askYes(session.io, `Revoke ${what} for good? The same code can never run here again.`))) {
      return session.remark("Nothing was done.\n");
    }
  }
  const reason = text(options, "reason");
  const why = reason === undefined ? {} : { reason };
  if (mark.kind === "id" && !flag(options, "absent")) {
    const { plugin } = await session.call("POST", path("/api/plugins/revoke", mark.value), { body: why }).catch(absent);
    return session.print({ success: true, plugin }, () => summaryLine(session, "Revoked", plugin));
  }
  const { result } = await session.call("POST", API, { body: { ...mark, ...why } });
  session.print({ success: true, result }, () => {
    const { stopped } = revokedAnswer.parse(result);
    const names = stopped.map((plugin) => `${displayLine(plugin.id)} ${displayLine(plugin.version)}`);
    const done = names.length === 0 ? "Nothing installed carries it." : `Stopped for good: ${names.join(", ")}.`;
    return `${session.style.good("✔")} Revoked ${displayLine(mark.value, 200)}. ${done}\n`;
  });
}

function absent(error: unknown): never {
  if (!(error instanceof SallyportError) || error.code !== "not_found") throw error;
  throw new SallyportError("not_found", error.message, {
    fix: "To revoke the id all the same, for good, add --absent. What is installed: sallyport plugin list",
  });
}

async function revocations(session: Session): Promise<void> {
  const { result } = await session.call("GET", API);
  session.print(result, () =>
    table(
      ["KIND", "VALUE", "PLUGIN", "WHEN", "BY", "REASON"],
      z
        .array(revocationAnswer)
        .parse(result)
        .map((one) => [one.kind, one.value, one.plugin, isoTime(one.revoked_at), one.revoked_by, one.reason]),
      "Nothing was ever revoked here.",
    ),
  );
}
