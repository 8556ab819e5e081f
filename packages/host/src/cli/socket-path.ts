import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { SallyportError } from "../kernel/index.ts";

/** `sun_path` holds 108 bytes on Linux and 104 elsewhere, with the NUL; a longer one is cut silently. */
const MAX_SOCKET_PATH = 103;

/**
 * The socket of a home's owner: in `$XDG_RUNTIME_DIR/sallyport` when that is a private folder of this user, else `<home>/s`.
 * `home` is a real path.
 * @throws {SallyportError} `home_unsafe` when the path is too long for a socket, or its folder is not private.
 */
export function socketPath(home: string, env: NodeJS.ProcessEnv): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  const name = createHash("sha256").update(home).digest("hex").slice(0, 32);
  const path = runtime && isPrivate(runtime) ? join(runtime, "sallyport", `${name}.sock`) : join(home, "s");
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new SallyportError("home_unsafe", "The path of the home's socket is too long.", {
      detail: `It has ${Buffer.byteLength(path)} bytes; the system cuts it after ${MAX_SOCKET_PATH}.`,
      fix: "Choose a home with a shorter path, or set XDG_RUNTIME_DIR.",
    });
  }
  return path;
}

/** Makes the socket's folder, when it is not the home itself, and checks that it is private. */
export function prepareSocketFolder(home: string, path: string): void {
  if (path === join(home, "s")) return;
  const folder = join(path, "..");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!isPrivate(folder)) {
    throw new SallyportError("home_unsafe", "The folder of the home's socket is not private.", {
      detail: `${folder} must be a folder of this user with mode 0700.`,
      fix: `Run: chmod 700 '${folder}'`,
    });
  }
}

function isPrivate(folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o077) === 0;
}

const noteSchema = z.strictObject({ pid: z.number().int(), socket: z.string().max(MAX_SOCKET_PATH) });

/** The owner notes where it listens, since a client may have another `XDG_RUNTIME_DIR` (cron, su, a desktop program). */
export const ownerNote = {
  write(home: string, note: { pid: number; socket: string }): void {
    writeFileSync(join(home, "owner.json"), JSON.stringify(note), { mode: 0o600 });
  },
  read(home: string): { pid: number; socket: string } | undefined {
    try {
      return noteSchema.parse(JSON.parse(readFileSync(join(home, "owner.json"), "utf8")));
    } catch {
      return undefined;
    }
  },
  remove(home: string): void {
    rmSync(join(home, "owner.json"), { force: true });
  },
};
