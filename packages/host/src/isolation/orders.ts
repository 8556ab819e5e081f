import { SallyportError } from "../kernel/index.ts";
import type { SeccompProgram } from "./seccomp.ts";

/** Numbers of the kernel's limits by their names in prlimit(1), the same on x86-64 and arm64. */
const RESOURCES: ReadonlyMap<string, number> = new Map([
  ["cpu", 0],
  ["fsize", 1],
  ["data", 2],
  ["stack", 3],
  ["core", 4],
  ["nproc", 6],
  ["nofile", 7],
  ["sigpending", 11],
]);

/** A limit, soft and hard alike, by its name in prlimit(1). */
export type ResourceLimit = readonly [name: string, value: number];

const READ_FILE = 1 << 2;
/** Landlock's access rights that a path may be given, by what the host calls them. */
const PATH_RIGHTS = {
  /** Reading a file. */
  read: READ_FILE,
  /** Reading and starting a file: programs and their loader. */
  execute: READ_FILE | (1 << 0),
  /** Reading and writing a file or device that is there. */
  write: READ_FILE | (1 << 1),
  /** The same, and making the file shorter. */
  change: READ_FILE | (1 << 1) | (1 << 14),
  /** Reading all files below a directory, and listing it. */
  tree: READ_FILE | (1 << 3),
} as const;

export interface AllowedPath {
  readonly path: string;
  readonly rights: keyof typeof PATH_RIGHTS;
}

export interface LandlockOrders {
  /** The least version of Landlock's interface that will do. */
  readonly leastAbi: number;
  /** Use no more than this version offers, in tests; 0 is no bound. */
  readonly mostAbi?: number;
  /** Everything else can be neither opened, made, removed nor started. */
  readonly paths: readonly AllowedPath[];
}

/** What the helper does to itself before it becomes the program. */
export interface JailOrders {
  /** Ends with this process, which must be its parent; null where another wall sees to that. */
  readonly parentPid: number | null;
  /** Number of the program's descriptor; see `SeccompOptions`. */
  readonly programFd: number;
  readonly limits: readonly ResourceLimit[];
  readonly landlock: LandlockOrders | null;
  readonly seccomp: SeccompProgram;
}

const MAGIC = Buffer.from("SALLYJL1");
const UMASK = 0o077;

/**
 * The orders as native/jail.c reads them, little-endian: magic, size of the whole (u32), parent pid or 0, umask, number of the
 * program's descriptor; count of limits, each (resource u32, value u64); Landlock's least version (0 is none of it), most version, count of
 * paths, each (rights u64, length u32, the path with its NUL); count of marks, each u32; count of instructions, each 8 bytes.
 */
export function encodeOrders({ parentPid, programFd, limits, landlock, seccomp }: JailOrders): Buffer {
  const paths = landlock?.paths ?? [];
  const body = Buffer.concat([
    u32(parentPid ?? 0, UMASK, programFd),
    u32(limits.length),
    ...limits.flatMap(([name, value]) => [u32(resourceNumber(name)), u64(value)]),
    u32(landlock?.leastAbi ?? 0, landlock?.mostAbi ?? 0, paths.length),
    ...paths.flatMap(({ path, rights }) => {
      const text = Buffer.from(`${path}\0`);
      return [u64(PATH_RIGHTS[rights]), u32(text.length), text];
    }),
    u32(seccomp.ownPidAt.length, ...seccomp.ownPidAt),
    u32(seccomp.bytes.length / 8),
    seccomp.bytes,
  ]);
  return Buffer.concat([MAGIC, u32(MAGIC.length + 4 + body.length), body]);
}

function resourceNumber(name: string): number {
  const number = RESOURCES.get(name);
  if (number === undefined) throw new SallyportError("internal", `The limit "${name}" has no number.`);
  return number;
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32LE(value, index * 4));
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
