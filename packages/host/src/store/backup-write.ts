import { createHash, type KeyObject } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, lstat, open, opendir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { canonicalJson, SallyportError } from "../kernel/index.ts";
import { type BackupEntry, type BackupManifest, publicHalf, signManifest, writeHeader } from "./backup-format.ts";
import { backupKey, newKdf, sealed } from "./backup-seal.ts";
import type { ChainHead } from "./types.ts";

export interface BackupFacts {
  readonly createdAt: number;
  readonly program: string;
  readonly head: ChainHead;
  readonly secrets: boolean;
  readonly store: boolean;
}

/**
 * Writes everything below `folder`, whose names are those of a home, into one new file, mode 0600, durable. There is the whole
 * file or none.
 * @throws {SallyportError} `conflict` when the file is there already; `store_unavailable` when it cannot be written.
 */
export async function writeBackup(
  file: string,
  folder: string,
  facts: BackupFacts,
  signingKey: KeyObject,
  passphrase: string | undefined,
): Promise<{ readonly bytes: number; readonly entries: number }> {
  const manifest: BackupManifest = {
    v: 1,
    created_at: facts.createdAt,
    program: facts.program,
    key: publicHalf(signingKey),
    head: { seq: facts.head.seq, hash: facts.head.hash },
    secrets: facts.secrets,
    store: facts.store,
    entries: await entriesOf(folder),
  };
  const kdf = passphrase === undefined ? null : newKdf();
  const header = writeHeader({ kdf });
  const body = bodyOf(folder, manifest, signingKey);
  const content =
    kdf === null || passphrase === undefined ? body : sealed(body, await backupKey(passphrase, kdf), header);
  const bytes = await writeNew(file, header, content);
  return { bytes, entries: manifest.entries.length };
}

async function* bodyOf(folder: string, manifest: BackupManifest, key: KeyObject): AsyncGenerator<Uint8Array> {
  const text = canonicalJson(manifest);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(text));
  yield Buffer.concat([length, Buffer.from(text), signManifest(text, key)]);
  for (const { path } of manifest.entries) {
    for await (const piece of createReadStream(join(folder, path), { highWaterMark: 256 * 1024 })) {
      yield Buffer.from(piece);
    }
  }
}

async function entriesOf(folder: string, below = ""): Promise<BackupEntry[]> {
  const entries: BackupEntry[] = [];
  for await (const { name } of await opendir(join(folder, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    const stat = await lstat(join(folder, path));
    if (stat.isDirectory()) entries.push(...(await entriesOf(folder, path)));
    else {
      const mode = (stat.mode & 0o100) === 0 ? 0o644 : 0o755;
      entries.push({ path, mode, size: stat.size, sha256: await hashOf(join(folder, path)) });
    }
  }
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  return `sha256:${hash.digest("hex")}`;
}

async function writeNew(file: string, header: Buffer, content: AsyncIterable<Uint8Array>): Promise<number> {
  const draft = `${file}.partial`;
  let bytes = header.length;
  let mine = false;
  try {
    if (await exists(file)) throw conflict();
    const handle = await open(draft, "wx", 0o600);
    mine = true;
    try {
      await handle.chmod(0o600);
      await handle.write(header);
      for await (const piece of content) {
        await handle.writeFile(piece);
        bytes += piece.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    // Linking, unlike renaming, never replaces what is there.
    await link(draft, file);
  } catch (cause) {
    if (mine) await unlink(draft).catch(() => undefined);
    if (cause instanceof SallyportError) throw cause;
    throw cause instanceof Error && "code" in cause && cause.code === "EEXIST" ? conflict(cause) : unwritable(cause);
  }
  await unlink(draft);
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return bytes;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function conflict(cause?: unknown): SallyportError {
  return new SallyportError("conflict", "There is such a file already, or half of one.", {
    detail: "A backup never replaces a file.",
    fix: "Choose another name, or remove the file and the one ending in .partial.",
    cause,
  });
}

function unwritable(cause: unknown): SallyportError {
  return new SallyportError("store_unavailable", "The backup cannot be written.", {
    detail: "Nothing is left of it.",
    fix: "Check that the folder exists, is writable, and that the disk is not full.",
    cause,
  });
}
