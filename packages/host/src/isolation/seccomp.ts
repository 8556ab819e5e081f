import {
  ALLOWED_SYSCALLS,
  CLIENT_SYSCALLS,
  FILTERED_SYSCALLS,
  OWN_SYSCALLS,
  PRIVATE_SYSCALLS,
  STDIO_SYSCALLS,
} from "./syscalls.ts";

export type SeccompArch = "x64" | "arm64";

const AUDIT_ARCH: Record<SeccompArch, number> = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** Calls of the x32 ABI carry this bit in their number. */
const X32_BIT = 0x40000000;

const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const JUMP_ALWAYS = 0x05;
const AND = 0x54;
const RETURN = 0x06;

/** Offsets in `struct seccomp_data`; of an argument, its low 32 bits. */
const OFFSET_NUMBER = 0;
const OFFSET_ARCH = 4;
const offsetOfArgument = (index: number): number => 16 + 8 * index;

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
/** Whoever listens decides; ENOSYS when nobody does any more. */
const ASK = 0x7fc00000;
const errno = (number: number): number => 0x00050000 | number;
/** Success, with nothing done. */
const NOTHING = errno(0);
const EPERM = errno(1);
const EACCES = errno(13);
const ENOTTY = errno(25);
const ENOSYS = errno(38);

const CLONE_THREAD = 0x00010000;
/** One table of descriptors for all threads, so that there is one limit on it. */
const CLONE_FILES = 0x00000400;
/** NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NEW_NAMESPACES = 0x7e020080;
const MAP_SHARED = 0x01;
const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x0100;
const MAP_LOCKED = 0x2000;
const MAP_HUGETLB = 0x40000;
/** TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. */
const IOCTL_ALLOWED = [0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];
/** PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (names of mappings). */
const PRCTL_ALLOWED = [15, 16, 0x53564d41];
/** AF_UNIX: a pair is a pipe within the process, and Deno does not start without one. There is no other way to a socket. */
const SOCKETPAIR_ALLOWED = [1];
/** Copies, flags, asking for locks and pipe sizes. Not F_SETOWN, F_SETSIG: with those the kernel sends any signal to any process of the user. */
const FCNTL_ALLOWED = [0, 1, 2, 3, 4, 5, 36, 1030, 1032];
/** F_SETLK, F_SETLKW and the two for open files. Libraries lock what no other process can have; shared files would carry locks from plugin to plugin. */
const FCNTL_LOCKS = [6, 7, 37, 38];
/** None, or CLOSE_RANGE_CLOEXEC. Not CLOSE_RANGE_UNSHARE: each thread would have descriptors of its own to fill. */
const CLOSE_RANGE_ALLOWED = [0, 4];
const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_TRUNC = 0o1000;
const RLIMIT_NOFILE = 7;
const AT_EMPTY_PATH = 0x1000;

/** AF_INET, of whose addresses only the jail's own loopback leads anywhere. */
const SOCKET_DOMAIN = 2;
const SOCK_STREAM = 1;
/** Of a socket's type, without the flags. */
const SOCK_TYPE_MASK = 0xf;
/** The usual one, or TCP by its name. The kernel would load a module for others (SCTP, SMC). */
const SOCKET_PROTOCOLS = [0, 6];

/**
 * What a program may do with sockets: `stdio` asks about the pipes that it was given (which are sockets), `proxy` opens TCP
 * connections too. Only in an empty network namespace.
 */
export type ProgramSockets = "stdio" | "proxy";

export interface SeccompOptions {
  /** Whether the process shares its pids with others, so that it may only name itself. */
  readonly shared: boolean;
  /** Descriptor of the one program that may be started; the limit on descriptors puts it out of reach afterwards. */
  readonly programFd: number;
  readonly sockets?: ProgramSockets;
  /** Locks on files are real. For a program that shares a file with others and is trusted not to bother them with locks. */
  readonly locks?: true;
}

export interface SeccompProgram {
  /** `struct sock_filter[]` in the machine's byte order (both architectures are little-endian). */
  readonly bytes: Buffer;
  /** Indices of the instructions whose value is the process's own pid, written there by the helper. */
  readonly ownPidAt: readonly number[];
}

interface Instruction {
  readonly code: number;
  readonly value: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly ownPid?: true;
}

const op = (code: number, value: number, ifTrue = 0, ifFalse = 0): Instruction => ({ code, value, ifTrue, ifFalse });
const answer = (action: number): Instruction => op(RETURN, action);

/**
 * The classic BPF program: another architecture and the x32 ABI end the process; what is not named answers ENOSYS, clone3
 * among it, so that libc falls back to clone, whose flags a filter can see.
 */
export function buildSeccompProgram(arch: SeccompArch, options: SeccompOptions): SeccompProgram {
  const column = arch === "x64" ? 0 : 1;
  const named = [
    ALLOWED_SYSCALLS,
    ...(options.shared ? [] : [PRIVATE_SYSCALLS]),
    ...(options.sockets === undefined ? [] : [STDIO_SYSCALLS]),
    ...(options.sockets === "proxy" ? [CLIENT_SYSCALLS] : []),
  ];
  const numbers = named.flatMap((table) => Object.values(table)).flatMap((entry) => entry[column] ?? []);
  const program = [
    op(LOAD_WORD, OFFSET_ARCH),
    op(JUMP_EQUAL, AUDIT_ARCH[arch], 1, 0),
    answer(KILL_PROCESS),
    op(LOAD_WORD, OFFSET_NUMBER),
    ...(arch === "x64" ? [op(JUMP_GREATER_EQUAL, X32_BIT, 0, 1), answer(KILL_PROCESS)] : []),
    ...onlyFor(FILTERED_SYSCALLS.clone[column], threadsOnly()),
    ...onlyFor(FILTERED_SYSCALLS.mmap[column], countedMemoryOnly()),
    ...onlyFor(FILTERED_SYSCALLS.fcntl[column], [
      ...(options.locks === true ? [] : answeredFor(1, FCNTL_LOCKS, NOTHING)),
      ...oneOf(1, options.locks === true ? [...FCNTL_ALLOWED, ...FCNTL_LOCKS] : FCNTL_ALLOWED, EPERM),
    ]),
    ...onlyFor(FILTERED_SYSCALLS.flock[column], [answer(NOTHING)]),
    ...onlyFor(FILTERED_SYSCALLS.close_range[column], oneOf(2, CLOSE_RANGE_ALLOWED, EPERM)),
    ...onlyFor(FILTERED_SYSCALLS.open[column], truncatesWhatItWrites(1)),
    ...onlyFor(FILTERED_SYSCALLS.openat[column], truncatesWhatItWrites(2)),
    ...onlyFor(FILTERED_SYSCALLS.setrlimit[column], oneOf(0, [RLIMIT_NOFILE], EPERM)),
    ...setsNoOtherLimit(PRIVATE_SYSCALLS["prlimit64"]?.[column]),
    ...onlyFor(FILTERED_SYSCALLS.ioctl[column], oneOf(1, IOCTL_ALLOWED, ENOTTY)),
    ...onlyFor(FILTERED_SYSCALLS.prctl[column], oneOf(0, PRCTL_ALLOWED, EPERM)),
    ...onlyFor(FILTERED_SYSCALLS.socketpair[column], oneOf(0, SOCKETPAIR_ALLOWED, EPERM)),
    ...(options.sockets === "proxy" ? onlyFor(FILTERED_SYSCALLS.socket[column], streamsOnly()) : []),
    ...onlyFor(FILTERED_SYSCALLS.execveat[column], thisProgramOnly(options.programFd)),
    ...(options.shared ? towardsItselfOnly(column) : []),
    ...searchTree(rangesOf(numbers)),
  ];
  return { bytes: encode(program), ownPidAt: program.flatMap(({ ownPid }, index) => (ownPid === true ? [index] : [])) };
}

/** `block` ends in a return on every path; a call with another number jumps over it. */
function onlyFor(number: number | null, block: readonly Instruction[]): Instruction[] {
  return number === null ? [] : [op(JUMP_EQUAL, number, 0, block.length), ...block];
}

function threadsOnly(): Instruction[] {
  return [
    op(LOAD_WORD, offsetOfArgument(0)),
    op(JUMP_ANY_BIT, CLONE_NEW_NAMESPACES, 3, 0),
    op(JUMP_ANY_BIT, CLONE_THREAD, 0, 2),
    op(JUMP_ANY_BIT, CLONE_FILES, 0, 1),
    answer(ALLOW),
    answer(EPERM),
  ];
}

/** RLIMIT_DATA counts neither shared memory nor stacks that grow, so neither can be had; nor the machine's reserve of huge pages. */
function countedMemoryOnly(): Instruction[] {
  return [
    op(LOAD_WORD, offsetOfArgument(3)),
    op(JUMP_ANY_BIT, MAP_GROWSDOWN | MAP_LOCKED | MAP_HUGETLB, 3, 0),
    op(JUMP_ANY_BIT, MAP_ANONYMOUS, 0, 1),
    op(JUMP_ANY_BIT, MAP_SHARED, 1, 0),
    answer(ALLOW),
    answer(EPERM),
  ];
}

/**
 * Truncating a file needs the right to write it. The kernel lets O_TRUNC pass with O_RDONLY and with the access mode 3, which
 * Landlock before its version 3 takes for reading, or for nothing at all.
 * @param argument which one holds the flags.
 */
function truncatesWhatItWrites(argument: number): Instruction[] {
  return [
    op(LOAD_WORD, offsetOfArgument(argument)),
    op(JUMP_ANY_BIT, O_TRUNC, 0, 4),
    op(AND, O_ACCMODE),
    op(JUMP_EQUAL, O_WRONLY, 2, 0),
    op(JUMP_EQUAL, O_RDWR, 1, 0),
    answer(EACCES),
    answer(ALLOW),
  ];
}

/** Reading limits, and setting the one on descriptors, which runtimes do. Falls through to the next rule; raising or lowering any other is refused. */
function setsNoOtherLimit(prlimit: number | undefined): Instruction[] {
  if (prlimit === undefined) return [];
  const block = [
    op(LOAD_WORD, offsetOfArgument(1)),
    op(JUMP_EQUAL, RLIMIT_NOFILE, 5, 0),
    op(LOAD_WORD, offsetOfArgument(2)),
    op(JUMP_EQUAL, 0, 0, 2),
    op(LOAD_WORD, offsetOfArgument(2) + 4),
    op(JUMP_EQUAL, 0, 1, 0),
    answer(EPERM),
    op(LOAD_WORD, OFFSET_NUMBER),
  ];
  return onlyFor(prlimit, block);
}

function streamsOnly(): Instruction[] {
  return [
    op(LOAD_WORD, offsetOfArgument(0)),
    op(JUMP_EQUAL, SOCKET_DOMAIN, 1, 0),
    answer(EPERM),
    op(LOAD_WORD, offsetOfArgument(1)),
    op(AND, SOCK_TYPE_MASK),
    op(JUMP_EQUAL, SOCK_STREAM, 1, 0),
    answer(EPERM),
    ...oneOf(2, SOCKET_PROTOCOLS, EPERM),
  ];
}

/**
 * The helper's own exec, by descriptor, and it once: the helper listens until then (a path from / would make the kernel
 * forget the descriptor, and a filter cannot read it). execve, which takes a path, has no way at all.
 */
function thisProgramOnly(descriptor: number): Instruction[] {
  return [
    op(LOAD_WORD, offsetOfArgument(0)),
    op(JUMP_EQUAL, descriptor, 0, 3),
    op(LOAD_WORD, offsetOfArgument(4)),
    op(JUMP_EQUAL, AT_EMPTY_PATH, 0, 1),
    answer(ASK),
    answer(EPERM),
  ];
}

function towardsItselfOnly(column: 0 | 1): Instruction[] {
  return Object.entries(OWN_SYSCALLS).flatMap(([name, { zero, otherwise }]) => {
    const number = PRIVATE_SYSCALLS[name]?.[column];
    return number === undefined ? [] : onlyFor(number, itself(zero, otherwise === "absent" ? ENOSYS : NOTHING));
  });
}

function itself(zeroToo: boolean, otherwise: number): Instruction[] {
  const own: Instruction = { ...op(JUMP_EQUAL, 0, 0, 1), ownPid: true };
  const zero = zeroToo ? [op(JUMP_EQUAL, 0, 1, 0)] : [];
  return [op(LOAD_WORD, offsetOfArgument(0)), ...zero, own, answer(ALLOW), answer(otherwise)];
}

function oneOf(argument: number, values: readonly number[], otherwise: number): Instruction[] {
  const checks = values.map((value, index) => op(JUMP_EQUAL, value, values.length - index, 0));
  return [op(LOAD_WORD, offsetOfArgument(argument)), ...checks, answer(otherwise), answer(ALLOW)];
}

/** Falls through when the argument is none of the values. */
function answeredFor(argument: number, values: readonly number[], action: number): Instruction[] {
  const checks = values.map((value, index) => op(JUMP_EQUAL, value, values.length - index, 0));
  return [op(LOAD_WORD, offsetOfArgument(argument)), ...checks, op(JUMP_ALWAYS, 1), answer(action)];
}

type Range = readonly [first: number, last: number];

function rangesOf(numbers: readonly number[]): Range[] {
  const ranges: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const previous = ranges.at(-1);
    if (previous !== undefined && previous[1] + 1 === number) previous[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

/** Finds the number in sorted ranges in about log2(n) steps. */
function searchTree(ranges: readonly Range[]): Instruction[] {
  const [only] = ranges;
  if (only === undefined) return [answer(ENOSYS)];
  if (ranges.length === 1) {
    return [op(JUMP_GREATER, only[1], 2, 0), op(JUMP_GREATER_EQUAL, only[0], 0, 1), answer(ALLOW), answer(ENOSYS)];
  }
  const middle = Math.ceil(ranges.length / 2);
  const lower = searchTree(ranges.slice(0, middle));
  const upper = searchTree(ranges.slice(middle));
  const border = ranges[middle]?.[0] ?? 0;
  // Conditional jumps reach 255 instructions; the tree is longer, so the far half is reached by an unconditional one.
  return [op(JUMP_GREATER_EQUAL, border, 0, 1), op(JUMP_ALWAYS, lower.length), ...lower, ...upper];
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, value, ifTrue, ifFalse }, index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  });
  return bytes;
}
