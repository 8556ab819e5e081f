import { createHash } from "node:crypto";
import { constants, createReadStream, type BigIntStats } from "node:fs";
import { type FileHandle, lstat, open, realpath } from "node:fs/promises";
import { basename } from "node:path";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { elfInterpreter } from "./elf.ts";
import { librariesOf } from "./libraries.ts";
import { SYSTEM_FOLDERS, unsafePath } from "./tools.ts";

/** The file behind a command. */
export interface CommandFile {
  /** Absolute, without links. */
  readonly path: string;
  /** Of its bytes, hex. */
  readonly sha256: string;
}

export interface FoundCommand {
  /** Absolute path under which it was asked for or found; links in it were followed once, now. */
  readonly command: string;
  readonly file: CommandFile;
  /** Whether it is known to run what its arguments or its input say. */
  readonly interpreter: boolean;
}

/**
 * Looks for a command once, for an operator's yes. A name is looked for in the system's folders; `PATH` is never asked.
 * @param folders where to look instead of the system's folders.
 * @throws {SallyportError} `not_found`. @throws {PolicyViolationError} `ceiling_exceeded` for what is never granted: a file that
 * others than root can change, that changes its user, that is no ELF program, or that only starts others.
 */
export async function findCommand(wanted: string, folders: readonly string[] = SYSTEM_FOLDERS): Promise<FoundCommand> {
  const candidates = wanted.startsWith("/") ? [wanted] : folders.map((folder) => `${folder}/${wanted}`);
  for (const command of candidates) {
    const path = await realpath(command).catch(() => null);
    if (path === null) continue;
    if ([command, path].some((name) => isOneOf(STARTERS, name)))
      throw neverGranted(command, "All it does is start another program, and in the jail nothing starts another one");
    const unsafe = (await unsafePath(command)) ?? (await unsafePath(path));
    if (unsafe !== null) throw neverGranted(command, unsafe);
    const { sha256 } = await readCommand(path, (problem) => neverGranted(command, problem));
    return { command, file: { path, sha256 }, interpreter: isInterpreter(command) || isInterpreter(path) };
  }
  throw new SallyportError("not_found", `The command ${wanted} is not on this machine.`, {
    fix: wanted.startsWith("/") ? "Install it, or name another path." : "Install it, or name its absolute path.",
  });
}

/**
 * Whether a command is still the file that the operator said yes to: the same path without links, in places that only root can
 * change, with the same bytes.
 * @throws {SallyportError} `digest_mismatch`.
 */
export async function checkCommand({ path, sha256 }: CommandFile): Promise<void> {
  const changed = (why: string): SallyportError =>
    new SallyportError("digest_mismatch", "The command is not the file that was approved.", {
      detail: `${path}: ${why}.`,
      fix: "Look at what changed it; if that was an update of yours, approve the plugin again.",
    });
  if ((await realpath(path).catch(() => null)) !== path) throw changed("it is gone, or leads elsewhere");
  const unsafe = await unsafePath(path);
  if (unsafe !== null) throw changed(unsafe);
  const now = await readCommand(path, changed);
  if (now.sha256 !== sha256) throw changed("it has other bytes");
}

/** Bytes that were hashed, by everything that the kernel changes with them; root alone could forge these, and the bytes. */
const hashed = new Map<string, string>();
const KEPT = 200;

async function readCommand(path: string, refusal: (problem: string) => SallyportError): Promise<{ sha256: string }> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  if (handle === null) throw refusal("it cannot be opened");
  try {
    const stat = await handle.stat({ bigint: true });
    const problem =
      problemOf(stat) ?? ((await isElf(handle)) ? null : "it is no ELF program; a script runs through an interpreter");
    if (problem !== null) throw refusal(problem);
    const key = [path, stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(" ");
    const sha256 = hashed.get(key) ?? (await hashOf(handle));
    if (hashed.size >= KEPT) hashed.clear();
    hashed.set(key, sha256);
    return { sha256 };
  } finally {
    await handle.close();
  }
}

function problemOf(stat: BigIntStats): string | null {
  const mode = Number(stat.mode);
  if (!stat.isFile()) return "it is no regular file";
  if (stat.uid !== 0n) return "it does not belong to root";
  if ((mode & 0o022) !== 0) return "others than root can change it";
  if ((mode & 0o6000) !== 0) return "it changes its user or group when it starts (setuid, setgid)";
  return (mode & 0o001) === 0 ? "not everybody may start it" : null;
}

async function isElf(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  return bytesRead === 4 && buffer.readUInt32BE(0) === 0x7f454c46;
}

async function hashOf(handle: FileHandle): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream("", { fd: handle.fd, autoClose: false, start: 0 })) hash.update(chunk);
  return hash.digest("hex");
}

function neverGranted(command: string, problem: string): PolicyViolationError {
  return new PolicyViolationError("ceiling_exceeded", `The command ${command} is never granted to a plugin.`, {
    detail: `${problem}.`,
    fix: "Leave it out with --only, or name another command with --scope.",
    data: { command },
  });
}

const ELF_HEAD = 64 * 1024;

export interface CommandLibraries {
  /** Absolute path of what the kernel loads it with; null for a static program. */
  readonly loader: string | null;
  readonly libraries: readonly string[];
}

const listed = new Map<string, Promise<CommandLibraries>>();

/** What a command loads when it starts. @throws {SallyportError} `isolation_unavailable`. */
export async function commandLibraries(path: string): Promise<CommandLibraries> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await lstat(path, { bigint: true });
  const key = [path, dev, ino, size, mtimeNs, ctimeNs].join(" ");
  const known = listed.get(key) ?? listLibraries(path);
  if (listed.size >= KEPT) listed.clear();
  listed.set(key, known);
  // A failure is not remembered: the machine may be mended while the host runs.
  known.catch(() => listed.delete(key));
  return known;
}

async function listLibraries(path: string): Promise<CommandLibraries> {
  const loader = await loaderIn(path);
  if (loader === null) return { loader, libraries: [] };
  // The file itself says what loads it, and that is started, outside the walls, to list what else it needs.
  const unsafe = await unsafePath(await realpath(loader).catch(() => loader)).catch(() => `${loader} is not there`);
  if (unsafe !== null)
    throw new SallyportError("isolation_unavailable", "The command is loaded by something that is not the system's.", {
      detail: `${unsafe}.`,
    });
  return { loader, libraries: await librariesOf(path) };
}

async function loaderIn(path: string): Promise<string | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(ELF_HEAD), 0, ELF_HEAD, 0);
    return elfInterpreter(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** Shells and languages: what they do is what their arguments or their input say. Also loaders, which run a file they are told. */
const INTERPRETERS = new Set(
  `sh bash dash ash zsh ksh mksh fish csh tcsh rbash busybox toybox ld vim vi nvim view ex rvim rview vimdiff gvim ed emacs gdb lldb awk
   gawk mawk nawk sqlite tclsh wish expect octave python pypy perl ruby node nodejs deno bun php lua luajit guile java jshell jrunscript
   groovy scala kotlin julia r rscript erl elixir ghci ocaml m4 gnuplot qjs gjs`.split(/\s+/),
);

/** All that these do is start another program, which nothing in the jail can. */
const STARTERS = new Set(
  `env xargs parallel sudo doas su runuser pkexec chroot unshare nsenter setpriv setsid nohup nice ionice chrt taskset timeout
   stdbuf time watch script strace ltrace bwrap flatpak start-stop-daemon capsh newgrp sg at batch crontab systemd-run`.split(
    /\s+/,
  ),
);

/** By the name at a path's end, with and without the version behind it: python3.11, sqlite3. */
function isOneOf(names: ReadonlySet<string>, path: string): boolean {
  const name = basename(path).toLowerCase();
  return names.has(name) || names.has(name.replace(/[-_.]?[0-9][0-9.]*$/, ""));
}

/** Also with whatever else a distribution puts behind the name: `vim.basic`, `perl5.36-x86_64-linux-gnu`, `ld-linux-x86-64.so.2`. */
function isInterpreter(path: string): boolean {
  const [word = ""] = /^[a-z]+/.exec(basename(path).toLowerCase()) ?? [];
  return isOneOf(INTERPRETERS, path) || INTERPRETERS.has(word);
}
