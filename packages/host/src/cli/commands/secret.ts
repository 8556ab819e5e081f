import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { secretAnswer, vaultAnswer } from "../../wire/index.ts";
import { displayLine } from "../../kernel/index.ts";
import { isInteractive, readStream } from "../io.ts";
import { askHidden } from "../passphrase.ts";
import { isoTime, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collect, type CommandContext, globalOptions, list, path, text, usage, verb } from "./define.ts";

const MAX_SECRET = 65_536;

export function defineSecretCommands(program: Command, context: CommandContext): void {
  const secret = globalOptions(program.command("secret")).description(
    "keep values that plugins use without seeing them",
  );
  verb(
    secret,
    context,
    "set <name>",
    "store a value and bind it to where it may be sent; asks for it, or reads standard input",
    "sallyport secret set OPENWEATHER_KEY --for https://api.openweathermap.org",
    set,
  )
    .option("--for <origin>", "an origin that may receive it; repeat for more", collect)
    .option("--value-file <file>", "read the value from a file");
  verb(secret, context, "list", "list names and origins, never values", "sallyport secret list", listSecrets).alias(
    "ls",
  );
  verb(secret, context, "remove <name>", "forget a value", "sallyport secret remove OPENWEATHER_KEY", remove).alias(
    "rm",
  );
  verb(secret, context, "rotate-key", "seal the vault with a new key", "sallyport secret rotate-key", rotateKey);
}

async function rotateKey(session: Session) {
  const { result } = await session.call("POST", "/api/vault/rotate-key", { body: {} });
  const { key, source } = vaultAnswer.parse(result);
  session.print(
    { success: true, result },
    () =>
      `${session.style.good("✔")} The vault is sealed with the new key ${key} (${source}). Older backups need the older key.\n`,
  );
}

async function set(session: Session, [name = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const origins = list(options, "for") ?? [];
  const value = await readValue(session, name, text(options, "valueFile"));
  if (value === "") throw usage("The value is empty.", "Type it, pipe it in, or give --value-file FILE.");
  await session.call("PUT", path("/api/secrets", name), { body: { value, origins } });
  session.print({ success: true, name, origins }, () => {
    const reach =
      origins.length === 0
        ? "It is bound to no origin, so no request carries it."
        : `It may be sent to ${displayLine(origins.join(", "), 500)}.`;
    return `${session.style.good("✔")} Stored ${displayLine(name)}. ${reach}\n`;
  });
}

/* Never an argument: those are seen by every process of the machine and kept in the shell's history. */
async function readValue(session: Session, name: string, file: string | undefined): Promise<string> {
  try {
    if (file !== undefined) return withoutNewline(readFileSync(file, "utf8"));
    if (isInteractive(session.io)) return await askHidden(session.io, `Value of ${displayLine(name)}`);
    return withoutNewline(await readStream(session.io.stdin, MAX_SECRET));
  } catch (error) {
    if (error instanceof RangeError) throw usage(`The value is over ${MAX_SECRET} bytes.`, "Store a shorter one.");
    if (file !== undefined) throw usage(`${file} cannot be read.`, "Give a file that holds the value.");
    throw error;
  }
}

function withoutNewline(value: string): string {
  return value.replace(/\r?\n$/, "");
}

async function listSecrets(session: Session) {
  const { result } = await session.call("GET", "/api/secrets");
  session.print(result, () =>
    table(
      ["NAME", "FOR", "VERSION", "CHANGED"],
      z
        .array(secretAnswer)
        .parse(result)
        .map((secret) => [
          secret.name,
          secret.origins.join(", ") || "nowhere",
          String(secret.version),
          isoTime(secret.updated_at),
        ]),
      "No secret is stored.",
    ),
  );
}

async function remove(session: Session, [name = ""]: readonly string[]) {
  await session.call("DELETE", path("/api/secrets", name));
  session.print({ success: true, name }, `${session.style.good("✔")} Removed ${displayLine(name)}.\n`);
}
