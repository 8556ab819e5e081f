import { createHash } from "node:crypto";
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Who may use a socket: the program's user, where that is not the host's. */
export interface PlaceOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Where one program's way to the proxy lies. */
export interface EgressPlace {
  /** For the socket; not there yet. Short, since a socket's path may have 107 bytes. */
  readonly path: string;
  /** Lets the program's user in, and nobody else. Call it when the socket is there. */
  open(): Promise<void>;
  remove(): Promise<void>;
}

const INNER = "way";
const SOCKET = "proxy";

/** A folder of the host's own in the temporary directory, and in it one that the program's user can enter. */
export async function makeEgressPlace(home: string, owner: PlaceOwner | null): Promise<EgressPlace> {
  const outer = await mkdtemp(join(tmpdir(), `${prefixOf(home)}-`));
  const inner = join(outer, INNER);
  await mkdir(inner, { mode: 0o700 });
  const path = join(inner, SOCKET);
  return {
    path,
    async open() {
      await chmod(path, 0o600);
      if (owner === null) return;
      for (const place of [path, inner]) await chown(place, owner.uid, owner.gid);
      // To be passed through; only this host can put anything in it.
      await chmod(outer, 0o711);
    },
    remove: () => removePlace(outer),
  };
}

/** Removes what hosts of this home left that were killed. Call it at a start: a home has one host at a time. */
export async function sweepEgressPlaces(home: string): Promise<void> {
  const names = await readdir(tmpdir());
  const left = names.filter((name) => name.startsWith(`${prefixOf(home)}-`)).map((name) => join(tmpdir(), name));
  for (const path of left) {
    const info = await lstat(path).catch(() => null);
    // Anybody may make such a name there; one of another user is not this home's.
    if (info?.isDirectory() === true && info.uid === process.getuid?.()) await removePlace(path);
  }
}

function prefixOf(home: string): string {
  return `sallyport-egress-${createHash("sha256").update(home).digest("hex").slice(0, 16)}`;
}

/** Removes what was made and nothing else, since the program's user may write in the inner folder. */
async function removePlace(outer: string): Promise<void> {
  const inner = join(outer, INNER);
  await rm(join(inner, SOCKET), { force: true }).catch(() => undefined);
  await rmdir(inner).catch(() => undefined);
  await rmdir(outer).catch(() => undefined);
}
