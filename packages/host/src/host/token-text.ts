import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

export type TokenKind = "agent" | "operator";

const PREFIXES: Readonly<Record<TokenKind, string>> = { agent: "sp_agent_", operator: "sp_op_" };
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_BYTES = 32;
/** 62^43 > 2^256, 62^6 > 2^32. */
const SECRET_CHARS = 43;
const CHECK_CHARS = 6;
const SHAPE = new RegExp(`^sp_(?:agent|op)_[0-9A-Za-z]{${SECRET_CHARS + CHECK_CHARS}}$`);

/** A fresh token: a prefix that scanners of leaked secrets know it by, 256 random bits, and a checksum against slips of the hand. */
export function newTokenText(kind: TokenKind): string {
  const secret = base62(BigInt(`0x${randomBytes(SECRET_BYTES).toString("hex")}`), SECRET_CHARS);
  return `${PREFIXES[kind]}${secret}${checksum(`${PREFIXES[kind]}${secret}`)}`;
}

/** Whether this can be a token at all: its form and its checksum, which anybody can compute. Says nothing of its worth. */
export function isTokenText(text: string): boolean {
  return SHAPE.test(text) && checksum(text.slice(0, -CHECK_CHARS)) === text.slice(-CHECK_CHARS);
}

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), CHECK_CHARS);
}

function base62(value: bigint, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest /= 62n) text = `${ALPHABET[Number(rest % 62n)] ?? ""}${text}`;
  return text;
}
