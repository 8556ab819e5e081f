/**
 * One system call past the runtime, through libc. Refused is what the kernel's filter, a namespace or a credential answers; a
 * call that gets as far as the kernel's look at its arguments counts as succeeded, because then nothing stood in the way.
 */
const ARM = Deno.build.arch === "aarch64";

/** [x86-64, arm64] */
const NUMBERS = {
  fork: [57, null],
  vfork: [58, null],
  clone: [56, 220],
  clone3: [435, 435],
  execve: [59, 221],
  execveat: [322, 281],
  memfd_create: [319, 279],
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kill: [62, 129],
  tgkill: [234, 131],
  rt_sigqueueinfo: [129, 138],
  pidfd_open: [434, 434],
  pidfd_getfd: [438, 438],
  pidfd_send_signal: [424, 424],
  kcmp: [312, 272],
  prlimit64: [302, 261],
  setpriority: [141, 140],
  sched_setscheduler: [144, 119],
  sched_setaffinity: [203, 122],
  ioprio_set: [251, 30],
  move_pages: [279, 239],
  process_madvise: [440, 440],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  fsopen: [430, 430],
  move_mount: [429, 429],
  unshare: [272, 97],
  setns: [308, 268],
  bpf: [321, 280],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  add_key: [248, 217],
  request_key: [249, 218],
  userfaultfd: [323, 282],
  perf_event_open: [298, 241],
  fanotify_init: [300, 262],
  inotify_init1: [294, 26],
  open_by_handle_at: [304, 265],
  init_module: [175, 105],
  finit_module: [313, 273],
  kexec_load: [246, 104],
  personality: [135, 92],
  setuid: [105, 146],
  setresuid: [117, 147],
  setgroups: [116, 159],
  capset: [126, 91],
  sethostname: [170, 161],
  clock_settime: [227, 112],
  adjtimex: [159, 171],
  acct: [163, 89],
  swapon: [167, 224],
  quotactl: [179, 60],
  syslog: [103, 116],
  iopl: [172, null],
  modify_ldt: [154, null],
  socket: [41, 198],
  socketpair: [53, 199],
  connect: [42, 203],
  bind: [49, 200],
  shmget: [29, 194],
  semget: [64, 190],
  msgget: [68, 186],
  mq_open: [240, 180],
  mmap: [9, 222],
  ioctl: [16, 29],
  prctl: [157, 167],
  landlock_restrict_self: [446, 446],
  mknodat: [259, 33],
  fchmodat: [268, 53],
  linkat: [265, 37],
  openat: [257, 56],
  vmsplice: [278, 75],
  setsid: [112, 157],
  memfd_secret: [447, 447],
};

const SIGCHLD = 17;
const NEW_USER = 0x10000000;
/** What only a wall answers: EPERM, ENOENT, ESRCH, EACCES, ENOTTY, EROFS, ENOSYS, EAFNOSUPPORT. */
const WALL = new Set([1, 2, 3, 13, 25, 30, 38, 97]);

const encoder = new TextEncoder();

function open() {
  const libc = Deno.dlopen("libc.so.6", {
    syscall: { parameters: Array(7).fill("i64"), result: "i64" },
    __errno_location: { parameters: [], result: "pointer" },
    _exit: { parameters: ["i32"], result: "void" },
  });
  const kept = [];
  const call = (name, ...args) => {
    const [intel, arm] = NUMBERS[name];
    const number = ARM ? arm : intel;
    if (number === null) throw new Error("errno 38 (this architecture has no such call)");
    return raw(number, ...args);
  };
  const raw = (number, ...args) => {
    const padded = [number, ...args, 0, 0, 0, 0, 0, 0].slice(0, 7).map(BigInt);
    const result = Number(libc.symbols.syscall(...padded));
    if (result !== -1) return result;
    const errno = new Deno.UnsafePointerView(libc.symbols.__errno_location()).getInt32();
    if (WALL.has(errno)) throw new Error(`errno ${errno}`);
    return `reached the kernel, which answered errno ${errno}`;
  };
  /** Address of bytes that stay where they are. */
  const at = (bytes) => {
    kept.push(bytes);
    return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
  };
  const string = (text) => at(encoder.encode(`${text}\0`));
  /** The child of a fork that worked ends at once. */
  const childEnds = (result) => {
    if (result === 0) libc.symbols._exit(0);
    return result;
  };
  return { call, raw, at, string, childEnds };
}

const numbers = (...values) => new BigInt64Array(values.map(BigInt));
const bytes = (length) => new Uint8Array(length);

/** `k` makes calls; `t` is what is planted outside. Arguments are such that a kernel without a wall would say yes. */
const ways = {
  fork: (k) => k.childEnds(k.call("fork")),
  vfork: (k) => k.childEnds(k.call("vfork")),
  clone_process: (k) => k.childEnds(k.call("clone", SIGCHLD)),
  clone_user_namespace: (k) => k.childEnds(k.call("clone", NEW_USER | SIGCHLD)),
  clone_high_bits: (k) => k.childEnds(k.call("clone", 0x1_0000_0000 + SIGCHLD)),
  clone3: (k) => k.childEnds(k.call("clone3", k.at(numbers(0, 0, 0, 0, SIGCHLD, 0, 0, 0)), 64)),
  execute_shell: (k) => k.call("execve", k.string("/bin/sh"), k.at(numbers(0)), k.at(numbers(0))),
  execute_from_memory: (k) => {
    const memory = k.call("memfd_create", k.string("planted"), 0);
    return k.call("execveat", memory, k.string(""), k.at(numbers(0)), k.at(numbers(0)), 0x1000);
  },
  memory_file: (k) => k.call("memfd_create", k.string("planted"), 0),
  secret_memory: (k) => k.call("memfd_secret", 0),
  ptrace_neighbour: (k, t) => k.call("ptrace", 0x4206, t.neighbour_pid, 0, 0),
  ptrace_host: (k, t) => k.call("ptrace", 0x4206, t.host_pid, 0, 0),
  ptrace_myself: (k) => k.call("ptrace", 0, 0, 0, 0),
  read_neighbour_memory: (k, t) => {
    const local = numbers(k.at(bytes(16)), 16);
    return k.call("process_vm_readv", t.neighbour_pid, k.at(local), 1, k.at(local), 1, 0);
  },
  write_neighbour_memory: (k, t) => {
    const local = numbers(k.at(bytes(16)), 16);
    return k.call("process_vm_writev", t.neighbour_pid, k.at(local), 1, k.at(local), 1, 0);
  },
  kill_neighbour: (k, t) => k.call("kill", t.neighbour_pid, 9),
  kill_host: (k, t) => k.call("kill", t.host_pid, 9),
  signal_neighbour_thread: (k, t) => k.call("tgkill", t.neighbour_pid, t.neighbour_pid, 9),
  queue_signal: (k, t) => k.call("rt_sigqueueinfo", t.neighbour_pid, 9, k.at(bytes(128))),
  kill_everyone: (k) => k.call("kill", -1, 0),
  pidfd_open: (k, t) => k.call("pidfd_open", t.neighbour_pid, 0),
  pidfd_steal: (k, t) => k.call("pidfd_getfd", k.call("pidfd_open", t.neighbour_pid, 0), 0, 0),
  pidfd_signal: (k, t) => k.call("pidfd_send_signal", k.call("pidfd_open", t.neighbour_pid, 0), 9, 0, 0),
  compare_processes: (k, t) => k.call("kcmp", t.neighbour_pid, t.host_pid, 0, 0, 0),
  limit_neighbour: (k, t) => k.call("prlimit64", t.neighbour_pid, 7, k.at(numbers(0, 0)), 0),
  raise_own_limits: (k) => k.call("prlimit64", 0, 2, k.at(numbers(-1, -1)), 0),
  priority_of_neighbour: (k, t) => k.call("setpriority", 0, t.neighbour_pid, 19),
  schedule_neighbour: (k, t) => k.call("sched_setscheduler", t.neighbour_pid, 5, k.at(bytes(4))),
  real_time: (k) => k.call("sched_setscheduler", 0, 1, k.at(new Int32Array([50]))),
  pin_neighbour: (k, t) => k.call("sched_setaffinity", t.neighbour_pid, 8, k.at(numbers(1))),
  disk_priority_of_neighbour: (k, t) => k.call("ioprio_set", 1, t.neighbour_pid, 7 | (3 << 13)),
  move_pages_of_neighbour: (k, t) => k.call("move_pages", t.neighbour_pid, 0, 0, 0, 0, 0),
  advise_neighbour: (k, t) => k.call("process_madvise", k.call("pidfd_open", t.neighbour_pid, 0), 0, 0, 21, 0),
  mount: (k) => k.call("mount", k.string("none"), k.string("/tmp"), k.string("tmpfs"), 0, 0),
  unmount: (k) => k.call("umount2", k.string("/tmp"), 2),
  pivot_root: (k) => k.call("pivot_root", k.string("/tmp"), k.string("/tmp")),
  chroot: (k) => k.call("chroot", k.string("/tmp")),
  open_tree: (k) => k.call("open_tree", -100, k.string("/"), 1),
  new_file_system: (k) => k.call("fsopen", k.string("tmpfs"), 0),
  move_mount: (k) => k.call("move_mount", -100, k.string("/tmp"), -100, k.string("/"), 0),
  unshare_user: (k) => k.call("unshare", NEW_USER),
  unshare_files: (k) => k.call("unshare", 0x400),
  join_namespace: (k, t) => k.call("setns", k.call("pidfd_open", t.host_pid, 0), 0x20000),
  bpf: (k) => k.call("bpf", 0, k.at(new Int32Array([1, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0])), 48),
  io_uring: (k) => k.call("io_uring_setup", 1, k.at(bytes(120))),
  keyring: (k) => k.call("keyctl", 0, -3, 1),
  add_key: (k) => k.call("add_key", k.string("user"), k.string("planted"), k.at(bytes(8)), 8, -3),
  request_key: (k) => k.call("request_key", k.string("user"), k.string("any"), 0, -3),
  userfault: (k) => k.call("userfaultfd", 1),
  performance_counters: (k) =>
    k.call("perf_event_open", k.at(new Uint32Array([1, 128, ...Array(30).fill(0)])), 0, -1, -1, 0),
  fanotify: (k) => k.call("fanotify_init", 0, 0),
  inotify: (k) => k.call("inotify_init1", 0),
  open_by_handle: (k) => k.call("open_by_handle_at", -100, k.at(new Int32Array([8, 1, 2, 0, 0, 0])), 0),
  load_module: (k) => k.call("init_module", k.at(bytes(64)), 64, k.string("")),
  load_module_file: (k) => k.call("finit_module", 0, k.string(""), 0),
  replace_kernel: (k) => k.call("kexec_load", 0, 0, 0, 0),
  personality: (k) => k.call("personality", 0x0040000),
  become_root: (k) => k.call("setuid", 0),
  become_root_saved: (k) => k.call("setresuid", 0, 0, 0),
  supplementary_groups: (k) => k.call("setgroups", 1, k.at(new Int32Array([0]))),
  capabilities: (k) =>
    k.call("capset", k.at(new Uint32Array([0x20080522, 0])), k.at(new Uint32Array([-1, -1, -1, -1, -1, -1]))),
  host_name: (k) => k.call("sethostname", k.string("stolen"), 6),
  set_clock: (k) => k.call("clock_settime", 0, k.at(numbers(1, 0))),
  adjust_clock: (k) => k.call("adjtimex", k.at(new Uint32Array([0x4000, 0, ...Array(60).fill(0)]))),
  accounting: (k) => k.call("acct", k.string("/tmp/planted")),
  swap: (k) => k.call("swapon", k.string("/tmp/planted"), 0),
  quota: (k) => k.call("quotactl", 0x80000100, 0, 0, 0),
  kernel_log: (k) => k.call("syslog", 3, k.at(bytes(256)), 256),
  input_output_ports: (k) => k.call("iopl", 3),
  segments: (k) => k.call("modify_ldt", 1, k.at(new Uint32Array([0, 0, 0xfffff, 0x51])), 16),
  socket_unix: (k) => k.call("socket", 1, 1, 0),
  socket_internet: (k) => k.call("socket", 2, 1, 0),
  socket_internet6: (k) => k.call("socket", 10, 2, 0),
  socket_raw: (k) => k.call("socket", 2, 3, 1),
  socket_packet: (k) => k.call("socket", 17, 3, 768),
  socket_netlink: (k) => k.call("socket", 16, 3, 0),
  socket_vsock: (k) => k.call("socket", 40, 1, 0),
  socket_crypto: (k) => k.call("socket", 38, 5, 0),
  socket_bluetooth: (k) => k.call("socket", 31, 3, 1),
  socket_can: (k) => k.call("socket", 29, 3, 1),
  connect_a_pair: (k) => {
    const pair = new Int32Array(2);
    k.call("socketpair", 1, 2, 0, k.at(pair));
    const address = bytes(110);
    address.set([1, 0, 0x2f, 0x78]);
    return k.call("connect", pair[0], k.at(address), 5);
  },
  bind_a_pair: (k) => {
    const pair = new Int32Array(2);
    k.call("socketpair", 1, 2, 0, k.at(pair));
    return k.call("bind", pair[0], k.at(new Uint8Array([1, 0, 0, 0x70, 0x6c])), 5);
  },
  shared_memory: (k) => k.call("shmget", 0x53414c, 4096, 0o1666),
  semaphores: (k) => k.call("semget", 0x53414c, 1, 0o1666),
  message_queue: (k) => k.call("msgget", 0x53414c, 0o1666),
  posix_queue: (k) => k.call("mq_open", k.string("planted"), 0o102, 0o666, 0),
  shared_mapping: (k) => k.call("mmap", 0, 1 << 20, 3, 0x21, -1, 0),
  growing_mapping: (k) => k.call("mmap", 0, 1 << 20, 3, 0x122, -1, 0),
  type_into_terminal: (k) => k.call("ioctl", 0, 0x5412, k.string("x")),
  paste_into_console: (k) => k.call("ioctl", 0, 0x541c, k.at(new Uint8Array([3]))),
  grab_terminal: (k) => k.call("ioctl", 0, 0x540e, 1),
  undo_death_with_parent: (k) => k.call("prctl", 1, 0),
  become_dumpable: (k) => k.call("prctl", 4, 1),
  become_subreaper: (k) => k.call("prctl", 36, 1),
  let_anyone_trace: (k) => k.call("prctl", 0x59616d61, -1),
  device_node: (k) => k.call("mknodat", -100, k.string("/tmp/disk"), 0o60666, 0x800),
  named_pipe: (k) => k.call("mknodat", -100, k.string(`/tmp/pipe-${Math.random()}`), 0o10666, 0),
  set_user_id_bit: (k) => {
    Deno.writeTextFileSync("/tmp/program", "x");
    return k.call("fchmodat", -100, k.string("/tmp/program"), 0o4755);
  },
  link_canary: (k, t) => k.call("linkat", -100, k.string(t.file), -100, k.string("/tmp/linked"), 0),
  open_canary: (k, t) => k.call("openat", -100, k.string(t.file), 0),
  splice_memory: (k) => k.call("vmsplice", 1, k.at(numbers(k.at(bytes(16)), 16)), 1, 8),
  leave_session: (k) => k.call("setsid"),
  x32: (k) => (ARM ? k.call("fork") : k.childEnds(k.raw(0x40000000 + 57))),
  unknown_future_call: (k) => k.raw(1999),
};

export default {
  tools: {
    attack({ kind = "fork", target = {} }) {
      try {
        const detail = String(ways[kind](open(), target));
        return { evidence: [{ attempt: kind, outcome: "succeeded", detail }] };
      } catch (error) {
        return {
          evidence: [{ attempt: kind, outcome: "refused", error: String(error?.message ?? error).slice(0, 300) }],
        };
      }
    },
  },
};
