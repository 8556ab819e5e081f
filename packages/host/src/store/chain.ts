import { hash } from "node:crypto";

/** What comes before the first event. */
export const GENESIS_HASH = "0".repeat(64);

/** Hash of one event: 64 hex digits over its place, everything before it, and its canonical JSON. */
export function chainHash(seq: number, prevHash: string, body: string): string {
  return hash("sha256", `sallyport-audit-v1\n${seq}\n${prevHash}\n${body}`, "hex");
}
