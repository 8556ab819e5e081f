import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildSeccompProgram, type SeccompArch } from "../../src/isolation/seccomp.ts";
import { ALLOWED_SYSCALLS, FILTERED_SYSCALLS, OWN_SYSCALLS, PRIVATE_SYSCALLS } from "../../src/isolation/syscalls.ts";

const ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 };
const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const ASK = 0x7fc00000;
const NOTHING = 0x00050000;
const EACCES = 0x0005000d;
const EPERM = 0x00050001;
const ENOTTY = 0x00050019;
const ENOSYS = 0x00050026;

/** What the kernel's BPF machine would answer; throws where the kernel's checker would refuse the program. */
function run(program: Buffer, number: number, args: readonly (number | bigint)[] = [], arch = ARCH.x64): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number >>> 0, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((value, index) =>
    typeof value === "bigint"
      ? data.writeBigUInt64LE(value, 16 + 8 * index)
      : data.writeUInt32LE(value >>> 0, 16 + 8 * index),
  );
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const code = program.readUInt16LE(at * 8);
    const value = program.readUInt32LE(at * 8 + 4);
    const jump = (holds: boolean): void => void (at += program[at * 8 + (holds ? 2 : 3)]!);
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else if (code === 0x15) jump(accumulator === value);
    else if (code === 0x25) jump(accumulator > value);
    else if (code === 0x35) jump(accumulator >= value);
    else if (code === 0x45) jump((accumulator & value) !== 0);
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x06) return value;
    else throw new Error(`unknown instruction ${code}`);
  }
  throw new Error("ran off the end");
}

const OWN = Object.keys(OWN_SYSCALLS);
const column = { x64: 0, arm64: 1 } as const;

const OWN_PID = 4711;

/** The program as it stands in a process: with the pid where the helper writes it. */
function built(arch: SeccompArch, shared: boolean): Buffer {
  const { bytes, ownPidAt } = buildSeccompProgram(arch, { shared, programFd: 256 });
  for (const at of ownPidAt) bytes.writeUInt32LE(OWN_PID, at * 8 + 4);
  return bytes;
}

const SETTINGS = [
  ["x64", false],
  ["x64", true],
  ["arm64", false],
  ["arm64", true],
] as const;

describe.each(SETTINGS)("the seccomp program for %s, pids shared: %s [S3-82]", (arch: SeccompArch, shared) => {
  const program = built(arch, shared);
  const ask = (number: number, ...args: (number | bigint)[]): number => run(program, number, args, ARCH[arch]);
  const filtered = Object.fromEntries(
    Object.entries(FILTERED_SYSCALLS).map(([name, pair]) => [name, pair[column[arch]]]),
  );

  it("allows exactly what the table names, over every number there is", () => {
    const tables = shared ? [ALLOWED_SYSCALLS] : [ALLOWED_SYSCALLS, PRIVATE_SYSCALLS];
    const allowed = new Set(tables.flatMap((table) => Object.values(table)).map((pair) => pair[column[arch]]));
    const decidedByArguments = new Set<number | null>(Object.values(filtered));
    if (shared) for (const name of OWN) decidedByArguments.add(PRIVATE_SYSCALLS[name]![column[arch]]);
    for (let number = 0; number < 1200; number++) {
      if (decidedByArguments.has(number)) continue;
      expect([number, ask(number)]).toEqual([number, allowed.has(number) ? ALLOW : ENOSYS]);
    }
    expect(ask(0x3fffffff)).toBe(ENOSYS);
  });

  it("ends a process that calls through another architecture", () => {
    for (const other of [0x40000003, 0x40000028, ARCH[arch === "x64" ? "arm64" : "x64"]]) {
      expect(run(program, 0, [], other)).toBe(KILL);
    }
  });

  it("asks the helper about a start by the descriptor that no later one can have, and refuses all others", () => {
    const exec = (fd: number, flags: number): number => ask(filtered["execveat"]!, fd, 0, 0, 0, flags);
    expect(exec(256, 0x1000)).toBe(ASK);
    for (const [fd, flags] of [
      [255, 0x1000],
      [3, 0x1000],
      [-100, 0],
      [256, 0],
      [256, 0x1100],
    ] as const)
      expect(exec(fd, flags)).toBe(EPERM);
    expect(ask(arch === "x64" ? 59 : 221)).toBe(ENOSYS);
  });

  it("sets no owner or signal of a descriptor, with which the kernel would signal for it", () => {
    for (const command of [8, 10, 15, 17, 1024, 1026, 1033]) expect(ask(filtered["fcntl"]!, 1, command)).toBe(EPERM);
    for (const command of [0, 1, 2, 3, 4, 1030]) expect(ask(filtered["fcntl"]!, 1, command)).toBe(ALLOW);
  });

  it("sets no lock, by which plugins that read the same file would speak to each other", () => {
    for (const command of [6, 7, 37, 38]) expect(ask(filtered["fcntl"]!, 3, command)).toBe(NOTHING);
    expect(ask(filtered["flock"]!, 3, 2)).toBe(NOTHING);
  });

  it("gives all threads one table of descriptors", () => {
    for (const flags of [0, 4]) expect(ask(filtered["close_range"]!, 3, 9, flags)).toBe(ALLOW);
    for (const flags of [2, 6]) expect(ask(filtered["close_range"]!, 3, 9, flags)).toBe(EPERM);
    expect(ask(filtered["clone"]!, 0x3d0f00 & ~0x400)).toBe(EPERM);
  });

  it("truncates only what is opened for writing, which every version of Landlock sees", () => {
    const opens = [(flags: number) => ask(filtered["openat"]!, -100, 0, flags)];
    if (filtered["open"] !== null) opens.push((flags) => ask(filtered["open"]!, 0, flags));
    for (const open of opens) {
      for (const flags of [0, 1, 2, 3, 0o1001, 0o1002, 0o1101]) expect([flags, open(flags)]).toEqual([flags, ALLOW]);
      for (const flags of [0o1000, 0o1003, 0o1100]) expect([flags, open(flags)]).toEqual([flags, EACCES]);
    }
  });

  it("sets no limit but that on descriptors, and reads them all", () => {
    expect(ask(filtered["setrlimit"]!, 7)).toBe(ALLOW);
    for (const resource of [3, 4, 6, 11]) expect(ask(filtered["setrlimit"]!, resource)).toBe(EPERM);
    const prlimit = PRIVATE_SYSCALLS["prlimit64"]![column[arch]];
    for (const resource of [3, 4, 7]) expect(ask(prlimit, 0, resource, 0, 1)).toBe(ALLOW);
    expect(ask(prlimit, 0, 7, 4096)).toBe(ALLOW);
    for (const pointer of [4096, 0x7fff_0000_0000n]) expect(ask(prlimit, OWN_PID, 4, pointer)).toBe(EPERM);
  });

  it.skipIf(!shared)("lets it name itself and nobody else", () => {
    for (const name of OWN) {
      const number = PRIVATE_SYSCALLS[name]![column[arch]];
      expect([name, ask(number, OWN_PID)]).toEqual([name, ALLOW]);
      expect([name, ask(number, 0)]).toEqual([name, OWN_SYSCALLS[name]!.zero ? ALLOW : ENOSYS]);
      for (const other of [1, OWN_PID - 1, OWN_PID + 1, -1, -OWN_PID])
        expect([name, other, ask(number, other)]).toEqual([
          name,
          other,
          OWN_SYSCALLS[name]!.otherwise === "absent" ? ENOSYS : NOTHING,
        ]);
    }
  });

  it("lets clone make threads and nothing else", () => {
    const thread = 0x3d0f00;
    expect(ask(filtered["clone"]!, thread)).toBe(ALLOW);
    expect(ask(filtered["clone"]!, 17)).toBe(EPERM);
    for (const namespace of [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(ask(filtered["clone"]!, thread | namespace)).toBe(EPERM);
    }
  });

  it("refuses memory that RLIMIT_DATA does not count", () => {
    const mmap = (flags: number): number => ask(filtered["mmap"]!, 0, 4096, 3, flags);
    expect(mmap(0x22)).toBe(ALLOW);
    expect(mmap(0x01)).toBe(ALLOW);
    expect(mmap(0x21)).toBe(EPERM);
    expect(mmap(0x23)).toBe(EPERM);
    expect(mmap(0x122)).toBe(EPERM);
    expect(mmap(0x40022)).toBe(EPERM);
  });

  it("allows a pair of connected sockets within the process, and no other family", () => {
    expect(ask(filtered["socketpair"]!, 1)).toBe(ALLOW);
    for (const family of [0, 2, 10, 16, 17, 40]) expect(ask(filtered["socketpair"]!, family)).toBe(EPERM);
  });

  it("lets a program with a way to the proxy make TCP connections, and no module be loaded for another protocol", () => {
    const { bytes } = buildSeccompProgram(arch, { shared, programFd: 256, sockets: "proxy" });
    const socket = (...args: number[]): number => run(bytes, filtered["socket"]!, args, ARCH[arch]);
    for (const type of [1, 1 | 0o4000, 1 | 0o2000000]) expect(socket(2, type, 0)).toBe(ALLOW);
    expect(socket(2, 1, 6)).toBe(ALLOW);
    for (const args of [
      [2, 1, 132],
      [2, 1, 256],
      [2, 1, 262],
      [2, 2, 17],
      [2, 3, 1],
      [10, 1, 0],
      [1, 1, 0],
      [16, 3, 0],
    ])
      expect([args, socket(...args)]).toEqual([args, EPERM]);
    expect(ask(filtered["socket"]!, 2, 1, 0)).toBe(ENOSYS);
  });

  it("allows a handful of ioctl and prctl requests", () => {
    expect(ask(filtered["ioctl"]!, 1, 0x5401)).toBe(ALLOW);
    for (const request of [0x5412, 0x541c, 0x5414]) expect(ask(filtered["ioctl"]!, 1, request)).toBe(ENOTTY);
    expect(ask(filtered["prctl"]!, 15)).toBe(ALLOW);
    for (const option of [1, 4, 22, 23, 36, 38]) expect(ask(filtered["prctl"]!, option)).toBe(EPERM);
  });
});

it("ends a process that uses the x32 numbers", () => {
  const program = built("x64", false);
  for (const number of [0x40000000, 0x40000029, 0x400003ff]) expect(run(program, number)).toBe(KILL);
});

describe("the tables name no call that reaches out of the process", () => {
  const REFUSED =
    "execve setpriority sched_setaffinity sched_setscheduler sched_setparam sched_setattr ioprio_set setpgid setsid rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal migrate_pages move_pages shmat semop msgsnd mq_open chmod fchmod fchmodat chown fchownat truncate link linkat mknod mknodat setxattr inotify_init fanotify_init utimes futimesat utimensat openat2 vhangup acct socket connect bind listen accept accept4 sendto sendmsg sendmmsg recvmsg recvmmsg fork vfork clone3 execveat ptrace mount umount2 pivot_root chroot bpf io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key userfaultfd unshare setns memfd_create shmget msgget semget process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd perf_event_open init_module finit_module kexec_load setuid setgid setgroups capset personality open_by_handle_at name_to_handle_at swapon reboot settimeofday clock_settime sethostname quotactl landlock_create_ruleset seccomp".split(
      " ",
    );
  it.each(REFUSED)("%s", (name) => {
    for (const table of [ALLOWED_SYSCALLS, PRIVATE_SYSCALLS]) expect(Object.hasOwn(table, name)).toBe(false);
  });

  const headers: [string, 0 | 1, RegExp][] = [
    ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0, /#define __NR_(\w+)\s+(\d+)\s*$/gm],
    ["/usr/include/asm-generic/unistd.h", 1, /#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$/gm],
  ];
  it.skipIf(headers.some(([path]) => !existsSync(path)))("and their numbers are those of the kernel's headers", () => {
    const other: Record<string, string> = { newfstatat: "fstatat" };
    for (const [path, index, pattern] of headers) {
      const numbers = new Map(
        [...readFileSync(path, "utf8").matchAll(pattern)].map(([, name, number]) => [name, Number(number)]),
      );
      for (const [name, pair] of Object.entries({ ...ALLOWED_SYSCALLS, ...PRIVATE_SYSCALLS, ...FILTERED_SYSCALLS })) {
        const number = pair[index];
        if (number !== null)
          expect([name, numbers.get(name) ?? numbers.get(other[name] ?? "")]).toEqual([name, number]);
      }
    }
  });
});
