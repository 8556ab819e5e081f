import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { SallyportError } from "../kernel/index.ts";

/** Shortest and longest passphrase, in characters after NFKC. */
export const PASSPHRASE_LENGTH = { min: 8, max: 1024 } as const;

const COST = { N: 2 ** 15, r: 8, p: 3 } as const;
const KEY_BYTES = 32;

const recordSchema = z.strictObject({
  v: z.literal(1),
  /* Bounds, so that a damaged record cannot ask for all memory or for next to no work. */
  N: z
    .number()
    .int()
    .min(2 ** 15)
    .max(2 ** 20),
  r: z.number().int().min(8).max(32),
  p: z.number().int().min(1).max(16),
  salt: z.string().regex(/^[0-9a-f]{32,128}$/),
  key: z.string().regex(/^[0-9a-f]{64}$/),
});

/**
 * The record that is stored for a passphrase: scrypt with a random salt, as JSON.
 * @throws {SallyportError} `usage` when the passphrase is too short or too long.
 */
export async function hashPassphrase(passphrase: string): Promise<string> {
  const text = normalise(passphrase);
  if (text.length < PASSPHRASE_LENGTH.min || text.length > PASSPHRASE_LENGTH.max) {
    throw new SallyportError("usage", "The passphrase is too short or too long.", {
      detail: `It must have ${PASSPHRASE_LENGTH.min} to ${PASSPHRASE_LENGTH.max} characters.`,
      fix: "Choose several words that only you know.",
    });
  }
  const salt = randomBytes(16);
  const key = await derive(text, salt, COST);
  return JSON.stringify({ v: 1, ...COST, salt: salt.toString("hex"), key: key.toString("hex") });
}

/**
 * Whether the passphrase is the one of the record, compared in constant time.
 * @throws {SallyportError} `store_unavailable` when the record is damaged: then nobody is let in.
 */
export async function matchesPassphrase(record: string, passphrase: string): Promise<boolean> {
  const { N, r, p, salt, key } = parseRecord(record);
  const text = normalise(passphrase);
  if (text.length > PASSPHRASE_LENGTH.max) return false;
  return timingSafeEqual(await derive(text, Buffer.from(salt, "hex"), { N, r, p }), Buffer.from(key, "hex"));
}

function parseRecord(record: string): z.infer<typeof recordSchema> {
  try {
    return recordSchema.parse(JSON.parse(record));
  } catch (cause) {
    throw new SallyportError("store_unavailable", "The stored passphrase record is damaged.", {
      detail: "Nobody can be authenticated with it, so every verb that needs the passphrase is refused.",
      fix: "Restore the home from a backup.",
      cause,
    });
  }
}

/* The same characters typed on another keyboard give the same passphrase. */
function normalise(passphrase: string): string {
  return passphrase.normalize("NFKC");
}

function derive(text: string, salt: Buffer, cost: { N: number; r: number; p: number }): Promise<Buffer> {
  const maxmem = 256 * cost.N * cost.r;
  return new Promise((resolve, reject) => {
    scrypt(text, salt, KEY_BYTES, { ...cost, maxmem }, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
