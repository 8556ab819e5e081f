import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { PolicyViolationError } from "../kernel/index.ts";
import { type BackupHeader, invalid, KDF_COST } from "./backup-format.ts";
import type { ByteReader } from "./backup-bytes.ts";

/** Bytes of content in one sealed piece. */
const PIECE = 1024 * 1024;
const TAG = 16;

type Kdf = NonNullable<BackupHeader["kdf"]>;

export function newKdf(): Kdf {
  return { ...KDF_COST, salt: randomBytes(16).toString("hex") };
}

/** scrypt, 32 bytes. The salt is fresh for each backup, so that no key seals two of them. */
export function backupKey(passphrase: string, { N, r, p, salt }: Kdf): Promise<Buffer> {
  const options = { N, r, p, maxmem: 256 * N * r };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFKC"), Buffer.from(salt, "hex"), 32, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/**
 * AES-256-GCM in pieces, each under its own number; the last one is marked, so that nothing can be cut off, moved or added. The
 * header is authenticated with every piece.
 */
export async function* sealed(content: AsyncIterable<Uint8Array>, key: Buffer, header: Buffer): AsyncGenerator<Buffer> {
  let waiting: Buffer = Buffer.alloc(0);
  let number = 0;
  for await (const more of content) {
    waiting = Buffer.concat([waiting, more]);
    while (waiting.length > PIECE) {
      yield sealOne(waiting.subarray(0, PIECE), key, header, number++, false);
      waiting = waiting.subarray(PIECE);
    }
  }
  yield sealOne(waiting, key, header, number, true);
}

/** @throws {PolicyViolationError} `passphrase_required` when the first piece does not open; later ones: `backup_invalid`. */
export async function* unsealed(bytes: ByteReader, key: Buffer, header: Buffer): AsyncGenerator<Buffer> {
  for (let number = 0; ; number++) {
    const length = (await bytes.exactly(4)).readUInt32BE();
    if (length > PIECE + TAG || length < TAG) throw invalid("It is damaged: a piece has no possible length.");
    const piece = await bytes.exactly(length);
    const last = await bytes.atEnd();
    yield unsealOne(piece, key, header, number, last);
    if (last) return;
  }
}

function nonceOf(number: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce[0] = last ? 1 : 0;
  nonce.writeUInt32BE(number, 8);
  return nonce;
}

function sealOne(content: Buffer, key: Buffer, header: Buffer, number: number, last: boolean): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonceOf(number, last)).setAAD(header);
  const body = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

function unsealOne(piece: Buffer, key: Buffer, header: Buffer, number: number, last: boolean): Buffer {
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(number, last), { authTagLength: TAG })
      .setAAD(header)
      .setAuthTag(piece.subarray(piece.length - TAG));
    return Buffer.concat([decipher.update(piece.subarray(0, piece.length - TAG)), decipher.final()]);
  } catch (cause) {
    if (number > 0) throw invalid("It is damaged, was changed, or its end is missing.", cause);
    throw new PolicyViolationError("passphrase_required", "The backup does not open with this passphrase.", {
      detail: "The passphrase is another one, or the backup was changed.",
      fix: "Give the passphrase that it was made with: --backup-passphrase-file FILE",
      data: { of: "backup" },
      cause,
    });
  }
}
