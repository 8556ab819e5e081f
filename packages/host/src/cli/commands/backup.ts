import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { RestoreAnswer, RestoreRequest } from "../../host-api.ts";
import { displayLine, SallyportError, systemClock } from "../../kernel/index.ts";
import { backupAnswer } from "../../wire/index.ts";
import { isInteractive } from "../io.ts";
import { ownerStatus, stopOwner } from "../owner-stop.ts";
import { askHidden, findPassphrase, readPassphraseFile } from "../passphrase.ts";
import { isoTime } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, text, usage, verb } from "./define.ts";

type Options = Readonly<Record<string, unknown>>;

export function defineBackupCommands(program: Command, context: CommandContext): void {
  verb(
    program,
    context,
    "backup <file>",
    "write the home into one new file",
    "sallyport backup home.backup --secrets --store",
    backup,
  )
    .option("--secrets", "the vault and the host's keys, too; then it is encrypted")
    .option("--store", "the stored plugins, too, so that they need not be installed again elsewhere")
    .option("--encrypt", "encrypt it although it holds no secrets")
    .option(
      "--backup-passphrase-file <file>",
      "file with the backup's passphrase (or set SALLYPORT_BACKUP_PASSPHRASE)",
    );
  verb(
    program,
    context,
    "restore [file]",
    "bring the home back to what a backup holds; its owner must be stopped",
    "sallyport restore home.backup --home ~/.sallyport",
    restore,
  )
    .option("--resume", "finish a restore that was cut short")
    .option(
      "--backup-passphrase-file <file>",
      "file with the backup's passphrase (or set SALLYPORT_BACKUP_PASSPHRASE)",
    );
}

async function backup(session: Session, [file = ""]: readonly string[], options: Options): Promise<void> {
  const secrets = flag(options, "secrets");
  const wanted = secrets || flag(options, "encrypt") || text(options, "backupPassphraseFile") !== undefined;
  const passphrase = wanted ? await newPassphrase(session, options) : undefined;
  const body = {
    file: resolve(file),
    ...(passphrase !== undefined && { passphrase }),
    secrets,
    store: flag(options, "store"),
  };
  const answer = await session.get(backupAnswer, "POST", "/api/backup", { body });
  session.print({ success: true, result: answer }, () =>
    [
      `${session.style.good("✔")} Wrote ${displayLine(answer.file, 500)}: ${answer.bytes} bytes, ${answer.encrypted ? "encrypted" : "not encrypted"}.\n`,
      answer.secrets ? "" : "It holds no secrets and no keys; add --secrets for a copy of everything.\n",
      `The audit in it goes up to event ${answer.head.seq}.\n`,
    ].join(""),
  );
}

async function newPassphrase(session: Session, options: Options): Promise<string> {
  const given = await knownPassphrase(session, options);
  if (given !== undefined) return given;
  if (!isInteractive(session.io)) {
    throw usage("There is no passphrase to encrypt the backup with.", "Give --backup-passphrase-file FILE.");
  }
  const first = await askHidden(session.io, "Passphrase for the backup");
  if (first === (await askHidden(session.io, "The same again"))) return first;
  throw usage("The two are not the same.", "Try again.");
}

async function knownPassphrase(session: Session, options: Options): Promise<string | undefined> {
  const file = text(options, "backupPassphraseFile");
  return file === undefined ? session.io.env["SALLYPORT_BACKUP_PASSPHRASE"] || undefined : readPassphraseFile(file);
}

async function restore(session: Session, [file]: readonly string[], options: Options): Promise<void> {
  const { restoreHome, resumeRestore } = await import("../../host.ts");
  if (flag(options, "resume")) {
    await resumeRestore(session.home);
    return session.print({ success: true }, `${session.style.good("✔")} The restore is finished.\n`);
  }
  if (file === undefined) throw usage("Which backup?", "sallyport restore FILE");
  // One that the command itself started goes by itself; one that somebody started on purpose is theirs to stop.
  if (existsSync(session.home) && (await ownerStatus(session.home, session.io.env))?.background === true) {
    await stopOwner(session.home, session.io.env);
  }
  let request: RestoreRequest = {
    file: resolve(file),
    home: session.home,
    ...(await passphraseOf(session, options)),
  };
  for (;;) {
    try {
      const answer = await restoreHome(request, systemClock);
      return session.print({ success: true, result: answer }, () => told(session, answer));
    } catch (error) {
      request = await withPassphrase(session, request, error);
    }
  }
}

async function passphraseOf(session: Session, options: Options): Promise<Pick<RestoreRequest, "passphrase">> {
  const passphrase = await knownPassphrase(session, options);
  return passphrase === undefined ? {} : { passphrase };
}

/** The same request with the passphrase that was missed, if there is anybody to tell it. @throws the error otherwise. */
async function withPassphrase(session: Session, request: RestoreRequest, error: unknown): Promise<RestoreRequest> {
  if (!(error instanceof SallyportError) || error.code !== "passphrase_required") throw error;
  if (error.data["of"] === "backup") {
    if (request.passphrase !== undefined || !isInteractive(session.io)) throw error;
    return { ...request, passphrase: await askHidden(session.io, "Passphrase of the backup") };
  }
  if (request.operatorPassphrase !== undefined) throw error;
  const operatorPassphrase = await findPassphrase(session.io, session.passphraseFile, "Operator's passphrase");
  if (operatorPassphrase === undefined) throw error;
  return { ...request, operatorPassphrase };
}

function told(session: Session, answer: RestoreAnswer): string {
  const { forkedAfter } = answer;
  return [
    `${session.style.good("✔")} ${displayLine(answer.home, 500)} is as it was at ${isoTime(answer.createdAt)}.\n`,
    "What was revoked, withdrawn, answered or used up since stays so.\n",
    forkedAfter === undefined
      ? ""
      : `${session.style.warn("!")} Home and backup went apart after event ${forkedAfter} of the audit; the home's goes on.\n`,
    answer.secrets ? "" : "It brought no secrets and no keys along.\n",
    answer.store ? "" : "It brought no stored plugins along: install those again whose files are gone.\n",
  ].join("");
}
