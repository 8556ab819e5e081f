/**
 * The system calls that a plugin's process may make, as [x86-64, arm64]; `null` where the architecture has no such call.
 * Everything else does not exist for it: a call that is not named here answers ENOSYS, also one that the kernel will
 * gain one day. docs/seccomp.md gives the reason for each. Not named, so refused: execve, making, binding and connecting sockets, fork and vfork, ptrace, mount, bpf, io_uring, keyctl,
 * userfaultfd, unshare, setns, memfd, shared memory, modules, perf, clock and identity changes.
 */
export const ALLOWED_SYSCALLS: Readonly<Record<string, readonly [number | null, number | null]>> = {
  // memory
  munmap: [11, 215],
  mprotect: [10, 226],
  mremap: [25, 216],
  madvise: [28, 233],
  brk: [12, 214],
  msync: [26, 227],
  pkey_alloc: [330, 289],
  pkey_free: [331, 290],
  pkey_mprotect: [329, 288],
  membarrier: [324, 283],
  // descriptors
  read: [0, 63],
  write: [1, 64],
  readv: [19, 65],
  writev: [20, 66],
  pread64: [17, 67],
  pwrite64: [18, 68],
  preadv: [295, 69],
  pwritev: [296, 70],
  preadv2: [327, 286],
  pwritev2: [328, 287],
  lseek: [8, 62],
  close: [3, 57],
  dup: [32, 23],
  dup2: [33, null],
  dup3: [292, 24],
  fsync: [74, 82],
  fdatasync: [75, 83],
  ftruncate: [77, 46],
  fallocate: [285, 47],
  fadvise64: [221, 223],
  recvfrom: [45, 207],
  copy_file_range: [326, 285],
  sendfile: [40, 71],
  pipe: [22, null],
  pipe2: [293, 59],
  eventfd: [284, null],
  eventfd2: [290, 19],
  epoll_create: [213, null],
  epoll_create1: [291, 20],
  epoll_ctl: [233, 21],
  epoll_wait: [232, null],
  epoll_pwait: [281, 22],
  epoll_pwait2: [441, 441],
  poll: [7, null],
  ppoll: [271, 73],
  select: [23, null],
  pselect6: [270, 72],
  timerfd_create: [283, 85],
  timerfd_settime: [286, 86],
  timerfd_gettime: [287, 87],
  // files
  stat: [4, null],
  fstat: [5, 80],
  lstat: [6, null],
  newfstatat: [262, 79],
  statx: [332, 291],
  statfs: [137, 43],
  fstatfs: [138, 44],
  access: [21, null],
  faccessat: [269, 48],
  faccessat2: [439, 439],
  getdents: [78, null],
  getdents64: [217, 61],
  getcwd: [79, 17],
  chdir: [80, 49],
  fchdir: [81, 50],
  readlink: [89, null],
  readlinkat: [267, 78],
  mkdir: [83, null],
  mkdirat: [258, 34],
  rmdir: [84, null],
  unlink: [87, null],
  unlinkat: [263, 35],
  rename: [82, null],
  renameat: [264, 38],
  renameat2: [316, 276],
  symlink: [88, null],
  symlinkat: [266, 36],
  umask: [95, 166],
  // time
  clock_gettime: [228, 113],
  clock_getres: [229, 114],
  clock_nanosleep: [230, 115],
  nanosleep: [35, 101],
  gettimeofday: [96, 169],
  time: [201, null],
  times: [100, 153],
  getrusage: [98, 165],
  setitimer: [38, 103],
  getitimer: [36, 102],
  alarm: [37, null],
  // threads
  futex: [202, 98],
  futex_waitv: [449, 449],
  set_robust_list: [273, 99],
  rseq: [334, 293],
  set_tid_address: [218, 96],
  exit: [60, 93],
  exit_group: [231, 94],
  gettid: [186, 178],
  getpid: [39, 172],
  getppid: [110, 173],
  getpgrp: [111, null],
  sched_yield: [24, 124],
  getcpu: [309, 168],
  arch_prctl: [158, null],
  wait4: [61, 260],
  // signals
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  rt_sigreturn: [15, 139],
  rt_sigtimedwait: [128, 137],
  rt_sigpending: [127, 136],
  rt_sigsuspend: [130, 133],
  sigaltstack: [131, 132],
  restart_syscall: [219, 128],
  pause: [34, null],
  // self
  getuid: [102, 174],
  geteuid: [107, 175],
  getgid: [104, 176],
  getegid: [108, 177],
  getresuid: [118, 148],
  getresgid: [120, 150],
  getgroups: [115, 158],
  uname: [63, 160],
  sysinfo: [99, 179],
  getrlimit: [97, 163],
  getrandom: [318, 278],
  capget: [125, 90],
};

/**
 * Calls that name a process. They are allowed where the process has a pid namespace of its own; elsewhere they would reach
 * others of the same user, so that those of OWN_SYSCALLS are allowed towards itself and the rest is refused.
 */
export const PRIVATE_SYSCALLS: Readonly<Record<string, readonly [number, number]>> = {
  kill: [62, 129],
  tgkill: [234, 131],
  tkill: [200, 130],
  prlimit64: [302, 261],
  sched_getaffinity: [204, 123],
  sched_getparam: [143, 121],
  sched_getscheduler: [145, 120],
  getpgid: [121, 155],
  getsid: [124, 156],
  getpriority: [140, 141],
  get_robust_list: [274, 100],
};

interface OwnSyscall {
  /** Whether 0, too, means itself. */
  readonly zero: boolean;
  /** What is answered about others: that there is no such call, or success with nothing done. */
  readonly otherwise: "absent" | "nothing";
}

/**
 * Calls of the table above whose first argument is a process. libc asks after the processors and the scheduling of each
 * thread by its number: it does without the first, and 0 is the true answer to the second (the usual policy), for every
 * thread that a plugin can have.
 */
export const OWN_SYSCALLS: Readonly<Record<string, OwnSyscall>> = {
  kill: { zero: false, otherwise: "absent" },
  tgkill: { zero: false, otherwise: "absent" },
  prlimit64: { zero: true, otherwise: "absent" },
  sched_getaffinity: { zero: true, otherwise: "absent" },
  sched_getparam: { zero: true, otherwise: "nothing" },
  sched_getscheduler: { zero: true, otherwise: "nothing" },
  getpgid: { zero: true, otherwise: "absent" },
  getsid: { zero: true, otherwise: "absent" },
};

/** For programs: what runtimes ask about the sockets that are their stdin, stdout and stderr. */
export const STDIO_SYSCALLS: Readonly<Record<string, readonly [number, number]>> = {
  getsockopt: [55, 209],
  getsockname: [51, 204],
  getpeername: [52, 205],
  shutdown: [48, 210],
};

/** For programs with a way to the proxy: being a client. There is nothing to be a server for. */
export const CLIENT_SYSCALLS: Readonly<Record<string, readonly [number, number]>> = {
  connect: [42, 203],
  sendto: [44, 206],
  sendmsg: [46, 211],
  recvmsg: [47, 212],
  setsockopt: [54, 208],
};

/** Calls whose arguments decide; see seccomp.ts. */
export const FILTERED_SYSCALLS = {
  execveat: [322, 281],
  fcntl: [72, 25],
  clone: [56, 220],
  mmap: [9, 222],
  ioctl: [16, 29],
  flock: [73, 32],
  close_range: [436, 436],
  open: [2, null],
  openat: [257, 56],
  setrlimit: [160, 164],
  prctl: [157, 167],
  socketpair: [53, 199],
  /** Only for programs with a way to the proxy; does not exist for any other process. */
  socket: [41, 198],
} as const satisfies Readonly<Record<string, readonly [number, number | null]>>;
