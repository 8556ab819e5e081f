import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PolicyViolationError } from "../kernel/index.ts";
import { type ByteReader, readBytes } from "./backup-bytes.ts";
import {
  BACKUP_MAGIC,
  type BackupEntry,
  type BackupManifest,
  checkSignature,
  invalid,
  MAX_HEADER,
  MAX_MANIFEST,
  parseHeader,
  parseManifest,
  SIGNATURE_BYTES,
} from "./backup-format.ts";
import { backupKey, unsealed } from "./backup-seal.ts";

/**
 * Unpacks a whole backup into an empty folder, each byte checked. `admit` may refuse it before anything is written.
 * @throws {SallyportError} `backup_invalid`; `passphrase_required` when it is encrypted and the passphrase is absent or wrong.
 */
export async function readBackup(
  file: string,
  into: string,
  passphrase: string | undefined,
  admit: (manifest: BackupManifest) => void = () => undefined,
): Promise<BackupManifest> {
  const stream = createReadStream(file, { highWaterMark: 256 * 1024 });
  try {
    const body = await bodyOf(readBytes(stream), passphrase);
    const length = (await body.exactly(4)).readUInt32BE();
    if (length > MAX_MANIFEST) throw invalid("Its list of contents is too long.");
    const text = (await body.exactly(length)).toString("utf8");
    const manifest = parseManifest(text);
    checkSignature(text, manifest, await body.exactly(SIGNATURE_BYTES));
    admit(manifest);
    for (const entry of manifest.entries) await unpack(body, into, entry);
    if (!(await body.atEnd())) throw invalid("Something was added to its end.");
    return manifest;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EISDIR")) {
      throw invalid("There is no such file.", error);
    }
    throw error;
  } finally {
    stream.destroy();
  }
}

async function bodyOf(bytes: ByteReader, passphrase: string | undefined): Promise<ByteReader> {
  const magic = await bytes.line(BACKUP_MAGIC.length + 1);
  const header = `${magic}${await bytes.line(MAX_HEADER)}`;
  const { kdf } = parseHeader(header);
  if (kdf === null) return bytes;
  if (passphrase === undefined) {
    throw new PolicyViolationError("passphrase_required", "The backup is encrypted.", {
      fix: "Give the passphrase that it was made with: --backup-passphrase-file FILE",
      data: { of: "backup" },
    });
  }
  return readBytes(unsealed(bytes, await backupKey(passphrase, kdf), Buffer.from(header)));
}

async function unpack(body: ByteReader, into: string, { path, mode, size, sha256 }: BackupEntry): Promise<void> {
  const place = join(into, path);
  await mkdir(dirname(place), { recursive: true, mode: 0o700 });
  const hash = createHash("sha256");
  const handle = await open(place, "wx", mode === 0o755 ? 0o700 : 0o600);
  try {
    for await (const piece of body.pieces(size)) {
      hash.update(piece);
      await handle.writeFile(piece);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (`sha256:${hash.digest("hex")}` !== sha256) throw invalid("A file in it is not what its list of contents says.");
}
