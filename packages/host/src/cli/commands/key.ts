import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { openHome } from "../../home/index.ts";
import { displayLine } from "../../kernel/index.ts";
import { generateSigningKey, writeRotation } from "../../trust/index.ts";
import { type KeyAnswer, keyAnswer } from "../../wire/index.ts";
import { keyFile, keyPassphrase, listKeyFiles, namedKeyFile, readKeyFile, writeKeyFile } from "../key-files.ts";
import { isoTime, parseExpiry, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collectCommas, type CommandContext, flag, globalOptions, list, text, usage, verb } from "./define.ts";

type Options = Readonly<Record<string, unknown>>;

const API = "/api/keys";
const MAX_STATEMENT = 16 * 1024;

export function defineKeyCommands(program: Command, context: CommandContext): void {
  const key = globalOptions(program.command("key")).description("make keys to sign with, and say whose you trust");
  verb(key, context, "generate <name>", "make a key to sign plugins with", "sallyport key generate acme", generate)
    .option("--out <file>", "where to; the home's keys folder if absent")
    .option("--encrypt", "protect the file with a passphrase, which is asked for")
    .option("--key-passphrase-file <file>", "file with that passphrase (or set SALLYPORT_KEY_PASSPHRASE)");
  verb(key, context, "list", "list the keys that are trusted here, and your own", "sallyport key list", listKeys).alias(
    "ls",
  );
  verb(
    key,
    context,
    "trust <name> [key]",
    "trust a publisher's key for some plugins, or its successor",
    "sallyport key trust acme ed25519:… --scope 'acme/*,weather'",
    trust,
  )
    .option("--scope <plugins>", "which plugins it may sign: ids, publisher/*, *; NAME/* if absent", collectCommas)
    .option("--expires <time>", "when the trust ends: 12h, 90d or an ISO date")
    .option("--rotation <file>", "instead of a key: what the trusted key's owner wrote with key rotate");
  verb(
    key,
    context,
    "untrust <key>",
    "take trust back; what needs the signature stops",
    "sallyport key untrust acme",
    async (session, [given = ""]) => {
      await session.call("POST", `${API}/untrust`, { body: { key: given } });
      session.print(
        { success: true, key: given },
        `${session.style.good("✔")} No longer trusted: ${displayLine(given)}.\n`,
      );
    },
  );
  verb(
    key,
    context,
    "revoke <key>",
    "refuse for good whatever a key signed, or will",
    "sallyport key revoke acme --reason 'it was stolen'",
    revoke,
  ).option("--reason <text>", "why, for the audit");
  verb(
    key,
    context,
    "rotate <old> <new>",
    "state, signed by both of your keys, that the new one takes the old one's place",
    "sallyport key rotate acme acme-2027 --out rotation.json",
    rotate,
  )
    .option("--out <file>", "where to; printed if absent")
    .option("--key-passphrase-file <file>", "file with the passphrase of both keys (or set SALLYPORT_KEY_PASSPHRASE)");
  verb(
    key,
    context,
    "reseal",
    "seal every record of the home with PLUGIN_SECRET_KEY as it is now",
    "sallyport key reseal",
    reseal,
  );
}

async function generate(session: Session, [name = ""]: readonly string[], options: Options): Promise<void> {
  const out = text(options, "out");
  const file = out === undefined ? namedKeyFile(openHome(session.home), name) : resolve(out);
  const passphrase = flag(options, "encrypt")
    ? await keyPassphrase(session.io, text(options, "keyPassphraseFile"), "Passphrase for the new key")
    : undefined;
  if (flag(options, "encrypt") && !passphrase) {
    throw usage("There is no passphrase to encrypt the key with.", "Type it, or give --key-passphrase-file FILE.");
  }
  const key = generateSigningKey();
  await writeKeyFile(file, key, passphrase);
  session.print({ success: true, name, key: key.id, file }, () =>
    [
      `${session.style.good("✔")} Wrote ${displayLine(file, 500)}${passphrase === undefined ? ", not encrypted" : ""}. Keep it to yourself.\n`,
      `Public key: ${key.id}\n`,
      `Operators trust it with: sallyport key trust ${displayLine(name)} ${key.id} --scope PLUGIN\n`,
    ].join(""),
  );
}

async function listKeys(session: Session): Promise<void> {
  const trusted = await session.get(z.array(keyAnswer), "GET", API);
  const own = await listKeyFiles(session.home);
  session.print({ trusted, own }, () =>
    [
      table(
        ["NAME", "STATE", "SIGNS", "UNTIL", "KEY"],
        trusted.map((key) => [key.name, key.state, key.scopes.join(", "), untilOf(key), key.key]),
        "No publisher's key is trusted. Trust one: sallyport key trust NAME KEY",
      ),
      own.length === 0
        ? ""
        : `\n${table(
            ["YOUR KEYS", "PUBLIC KEY"],
            own.map(({ name, key }) => [name, key]),
            "",
          )}`,
    ].join(""),
  );
}

function untilOf({ expires_at }: KeyAnswer): string {
  return expires_at === null ? "taken back" : isoTime(expires_at);
}

async function trust(session: Session, [name = "", given]: readonly string[], options: Options): Promise<void> {
  const rotation = text(options, "rotation");
  if ((given === undefined) === (rotation === undefined)) {
    throw usage("Give either a public key or --rotation FILE.", "sallyport key trust acme ed25519:…");
  }
  const expires = text(options, "expires");
  const scopes = list(options, "scope");
  if (rotation !== undefined && (expires !== undefined || scopes)) {
    throw usage("A rotation hands on the trust of the old key as it is.", "Leave out --scope and --expires.");
  }
  const body =
    rotation === undefined
      ? {
          name,
          key: given,
          ...(scopes && { scopes }),
          ...(expires !== undefined && { expires_at: parseExpiry(expires, session.io.now()) }),
        }
      : { statement: readStatement(rotation) };
  const key = await session.get(keyAnswer, "POST", rotation === undefined ? `${API}/trust` : `${API}/rotate`, { body });
  session.print({ success: true, ...key }, () =>
    [
      `${session.style.good("✔")} ${displayLine(key.name)} may sign ${key.scopes.join(", ")}, until ${untilOf(key)}.\n`,
      key.replaces === null
        ? ""
        : `What its former key signed still counts. Once nothing needs it: sallyport key untrust ${key.replaces}\n`,
    ].join(""),
  );
}

function readStatement(file: string): string {
  try {
    const bytes = readFileSync(file);
    if (bytes.length <= MAX_STATEMENT) return bytes.toString("utf8");
  } catch {
    throw usage(`${displayLine(file, 500)} cannot be read.`, "Give the file that the publisher made with key rotate.");
  }
  throw usage(
    `${displayLine(file, 500)} is over ${MAX_STATEMENT} bytes.`,
    "Give the file that the publisher made with key rotate.",
  );
}

async function revoke(session: Session, [given = ""]: readonly string[], options: Options): Promise<void> {
  const reason = text(options, "reason");
  await session.call("POST", `${API}/revoke`, { body: { key: given, ...(reason !== undefined && { reason }) } });
  session.print(
    { success: true, key: given },
    `${session.style.good("✔")} Revoked for good: ${displayLine(given)}. Whatever it signed is refused and was stopped.\n`,
  );
}

async function rotate(session: Session, [from = "", to = ""]: readonly string[], options: Options): Promise<void> {
  const passphraseFile = text(options, "keyPassphraseFile");
  const read = (name: string) => readKeyFile(session.io, keyFile(session.home, name), passphraseFile);
  const statement = writeRotation(await read(from), await read(to));
  const out = text(options, "out");
  if (out === undefined) return session.print({ success: true, statement }, statement);
  await writeFile(resolve(out), statement);
  session.print(
    { success: true, file: resolve(out) },
    `${session.style.good("✔")} Wrote ${displayLine(out, 500)}. Operators accept it with: sallyport key trust NAME --rotation FILE\n`,
  );
}

async function reseal(session: Session): Promise<void> {
  const answer = z.object({ plugins: z.number(), grants: z.number(), keys: z.number() });
  const done = await session.get(answer, "POST", `${API}/reseal`, { body: {} });
  session.print(
    { success: true, ...done },
    `${session.style.good("✔")} Sealed ${done.plugins} plugins, ${done.grants} grants and ${done.keys} keys.\n`,
  );
}
