import { chmod, lstat, mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { displayLine, SallyportError } from "../kernel/index.ts";
import { exportSigningKey, importSigningKey, isEncryptedKey, parseKeyId, type SigningKey } from "../trust/index.ts";
import { type Io, isInteractive } from "./io.ts";
import { askHidden, readPassphraseFile } from "./passphrase.ts";

const NAME = /^[A-Za-z][A-Za-z0-9._-]{0,59}$/;
const MAX_BYTES = 16 * 1024;

/** Where a home keeps the author's own keys. Only the commands read them, never the owner. */
function folderOf(home: string): string {
  return join(home, "keys", "authors");
}

/** A key that is there already: `NAME` is one of the home; anything with a slash or an ending is a file. */
export function keyFile(home: string, nameOrFile: string): string {
  if (nameOrFile.includes("/") || nameOrFile.endsWith(".pem")) return resolve(nameOrFile);
  return namedKeyFile(home, nameOrFile);
}

/** Where a key of this name lies in the home. @throws {SallyportError} `usage` for what is no name. */
export function namedKeyFile(home: string, name: string): string {
  if (NAME.test(name)) return join(folderOf(home), `${name}.pem`);
  throw new SallyportError("usage", `"${displayLine(name)}" is no name for a key.`, {
    fix: "Use letters, digits, dots and dashes, beginning with a letter; or give a file: ./my-key.pem",
  });
}

/** Writes a new key, mode 0600, and beside it the public one. Never over a file that is there. */
export async function writeKeyFile(file: string, key: SigningKey, passphrase: string | undefined): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeNew(file, exportSigningKey(key, passphrase), 0o600);
  await writeNew(publicFile(file), `${key.id}\n`, 0o644).catch(async (error: unknown) => {
    await rm(file, { force: true });
    throw error;
  });
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    const handle = await open(file, "wx", mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chmod(file, mode);
  } catch (cause) {
    throw new SallyportError("conflict", `${displayLine(file, 500)} cannot be written.`, {
      detail: "A key is never written over: what it signed could no longer be explained.",
      fix: "Choose another name, or move the old file away. Does the folder exist?",
      cause,
    });
  }
}

/** @throws {SallyportError} `not_found`, `home_unsafe` when others can read it, `usage` when it is no key or the passphrase is wrong. */
export async function readKeyFile(io: Io, file: string, passphraseFile: string | undefined): Promise<SigningKey> {
  const stat = await lstat(file).catch(() => undefined);
  if (!stat) {
    throw new SallyportError("not_found", `There is no key ${displayLine(file, 500)}.`, {
      fix: "Make one: sallyport key generate NAME, or give the file with --key ./FILE.pem",
    });
  }
  const own = process.getuid === undefined || stat.uid === process.getuid();
  if (!stat.isFile() || !own || (stat.mode & 0o077) !== 0 || stat.size > MAX_BYTES) {
    throw new SallyportError("home_unsafe", "The key file is not safe.", {
      detail: "It must be a regular file of yours that nobody else can read.",
      fix: `Find out who could read it. If nobody did: chmod 600 '${displayLine(file, 500)}'`,
    });
  }
  const pem = await readFile(file, "utf8");
  return importSigningKey(
    pem,
    isEncryptedKey(pem) ? await keyPassphrase(io, passphraseFile, "Passphrase of the key") : undefined,
  );
}

/** The passphrase of a key file is the author's and not the operator's: it has a variable and a file of its own. */
export async function keyPassphrase(io: Io, file: string | undefined, question: string): Promise<string | undefined> {
  if (file !== undefined) return readPassphraseFile(file);
  const given = io.env["SALLYPORT_KEY_PASSPHRASE"];
  if (given) return given;
  return isInteractive(io) ? askHidden(io, question) : undefined;
}

/** The author's own keys in a home: names and public keys. */
export async function listKeyFiles(home: string): Promise<readonly { readonly name: string; readonly key: string }[]> {
  const names = await readdir(folderOf(home)).catch(() => []);
  const keys = names
    .filter((name) => name.endsWith(".pub"))
    .map(async (name) => {
      const text = await readFile(join(folderOf(home), name), "utf8").catch(() => "");
      try {
        return [{ name: name.slice(0, -4), key: parseKeyId(text.trim()) }];
      } catch {
        return [];
      }
    });
  return (await Promise.all(keys)).flat().toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function publicFile(file: string): string {
  return `${file.replace(/\.pem$/, "")}.pub`;
}
