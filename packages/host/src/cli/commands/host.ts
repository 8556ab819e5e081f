import type { Command } from "commander";
import { doctorAnswer, statusAnswer } from "../../wire/index.ts";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import { createHome } from "../../home/index.ts";
import { isInteractive } from "../io.ts";
import { askHidden, askYes, readPassphraseFile } from "../passphrase.ts";
import { fields } from "../render/index.ts";
import { ownerStatus, stopOwner } from "../owner-stop.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, text, usage, verb } from "./define.ts";

/** Without a passphrase this is what holds; said wherever it matters. */
export const ADVISORY = "Approvals are advisory against agents that have a shell.";

export function defineHostCommands(program: Command, context: CommandContext): void {
  verb(program, context, "init", "make a home, with a first policy and a passphrase", "sallyport init", init)
    .option("--enable-plugins", "turn plugins on in config.yml")
    .option("--vault-key <place>", "where the vault's key is kept: file, env or keyring")
    .option("--no-passphrase", "set none: approvals are then advisory against agents that have a shell");
  const start = verb(
    program,
    context,
    "start",
    "serve the home until stopped",
    "sallyport start",
    async (session, _args, options) => {
      const { runOwner } = await import("../owner-run.ts");
      await runOwner(session, context, {
        background: flag(options, "background"),
        idleMs: Number(text(options, "idleMs") ?? DEFAULT_IDLE_MS),
      });
    },
  );
  start.addOption(start.createOption("--background", "started by another command").hideHelp());
  start.addOption(start.createOption("--idle-ms <ms>", "end after so long without a connection").hideHelp());
}

const DEFAULT_IDLE_MS = 10 * 60_000;

async function init(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { io } = session;
  const interactive = isInteractive(io) && !session.json;
  const passphrase = await choosePassphrase(session, options["passphrase"] !== false, interactive);
  const pluginsEnabled =
    flag(options, "enablePlugins") ||
    (interactive && (await askYes(io, "Turn plugins on? Each one still needs your approval.")));
  const { starterConfig } = await import("../../config/index.ts");
  const vaultKey = await keySourceOf(text(options, "vaultKey"));
  const { path, created } = await createHome(session.home, starterConfig({ pluginsEnabled, vaultKey }));
  const served = (await ownerStatus(path, io.env)) !== undefined;
  const status = await session.get(statusAnswer, "GET", "/api/status");
  if (passphrase !== undefined && !status.passphrase_set) {
    await session.call("POST", "/api/operators/passphrase", { body: { next: passphrase } });
  }
  const { level, checks } = await session.get(doctorAnswer, "GET", "/api/doctor");
  const vault = checks.find(({ name }) => name === "vault");
  // What was started for this is not left behind; the next command starts it again.
  if (!served && status.background) await stopOwner(path, io.env);

  const guarded = passphrase !== undefined || status.passphrase_set;
  const warnings = [
    ...(guarded ? [] : [ADVISORY]),
    ...(vault?.ok === false ? [`The vault: ${displayLine(vault.detail, 500)}`] : []),
    ...(!created && vaultKey !== undefined ? ["config.yml was there; secrets.key in it stays as it is."] : []),
    ...(passphrase !== undefined && status.passphrase_set ? ["A passphrase was set before; it stays as it is."] : []),
  ];
  const answer = {
    success: true,
    home: path,
    created,
    plugins_enabled: created ? pluginsEnabled : undefined,
    passphrase_set: guarded,
    level,
    warnings,
  };
  session.print(answer, () =>
    [
      `${session.style.good("✔")} ${created ? "Made" : "Kept"} the home ${displayLine(path, 500)}\n`,
      fields([
        ["isolation", level ?? "none: no plugin can run here"],
        ["passphrase", guarded ? "set" : "none"],
        ...(created
          ? [["plugins", pluginsEnabled ? "on" : "off; set plugins.enabled in config.yml to true"] as const]
          : []),
      ]),
      ...warnings.map((warning) => `${session.style.warn("!")} ${warning}\n`),
      "Next: sallyport plugin install DIR\n",
    ].join(""),
  );
}

async function keySourceOf(place: string | undefined) {
  if (place === undefined) return undefined;
  const { KEY_SOURCES } = await import("../../secrets/index.ts");
  const source = KEY_SOURCES.find((one) => one === place);
  if (source === undefined)
    throw usage(`"${displayLine(place, 40)}" is no place for the vault's key.`, "Use file, env or keyring.");
  return source;
}

async function choosePassphrase(session: Session, wanted: boolean, interactive: boolean): Promise<string | undefined> {
  if (!wanted) return undefined;
  if (session.passphraseFile !== undefined) return readPassphraseFile(session.passphraseFile);
  const given = session.io.env["SALLYPORT_PASSPHRASE"];
  if (given) return given;
  if (!interactive) {
    throw usage(
      "No passphrase was given, and nobody can be asked here.",
      `Pass --passphrase-file FILE or SALLYPORT_PASSPHRASE, or --no-passphrase: ${ADVISORY.toLowerCase()}`,
    );
  }
  const first = await askHidden(session.io, "Choose a passphrase for approvals (empty for none)");
  if (first === "") return undefined;
  if ((await askHidden(session.io, "The same again")) !== first) {
    throw new SallyportError("usage", "The two are not the same.", { fix: "Run `sallyport init` again." });
  }
  return first;
}
