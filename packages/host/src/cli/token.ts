import type { Io } from "./io.ts";
import { readPrivateLine } from "./passphrase.ts";

/**
 * The token to come with, from `--token-file` or `SALLYPORT_TOKEN`; undefined: as the home's user. Never an argument: those are
 * seen by every process of the machine.
 */
export function findToken(io: Io, file: string | undefined): string | undefined {
  if (file !== undefined) return readPrivateLine(file, "token").trim();
  const given = io.env["SALLYPORT_TOKEN"];
  return given === undefined || given === "" ? undefined : given.trim();
}

/** Headers that carry a token. */
export function tokenHeaders(token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
