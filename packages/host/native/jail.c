/*
 * The jail helper: puts walls around the process that it is, then becomes the program that it was told to start.
 *
 *     jail PROGRAM ARG0 [ARG...]          orders on descriptor 3, environment as given
 *
 * The orders are written by the host (src/isolation/orders.ts, where their form is described) and hold nothing of a
 * plugin's. Every step must succeed: else one line on stderr names the step, and the exit code is 121. There is no
 * libc: what runs here is what is written here.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#ifndef SOURCE_SHA256
#error "build with scripts/build-helper.mjs"
#endif

/* Ties a binary to the source it was made from; a test compares. */
__attribute__((used)) static const char SOURCE[] = "sallyport-jail-source:" SOURCE_SHA256;

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_ioctl = 16, SYS_getpid = 39, SYS_clone = 56, SYS_fcntl = 72, SYS_umask = 95,
       SYS_getppid = 110, SYS_prctl = 157, SYS_futex = 202, SYS_exit_group = 231, SYS_openat = 257, SYS_prlimit64 = 302, SYS_seccomp = 317, SYS_execveat = 322 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}

/* A thread of this process on a stack of its own, which never returns. */
static long start_thread(long flags, void *stack, void (*run)(void)) {
  register long r10 __asm__("r10") = 0;
  register long r8 __asm__("r8") = 0;
  register void (*r12)(void) __asm__("r12") = run;
  long result;
  __asm__ volatile("syscall\n  test %%rax, %%rax\n  jnz 1f\n  xor %%ebp, %%ebp\n  call *%%r12\n  hlt\n1:"
                   : "=a"(result)
                   : "a"(SYS_clone), "D"(flags), "S"(stack), "d"(0), "r"(r10), "r"(r8), "r"(r12)
                   : "rcx", "r11", "memory");
  return result;
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start\n  hlt\n");
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_ioctl = 29, SYS_getpid = 172, SYS_clone = 220, SYS_fcntl = 25, SYS_umask = 166,
       SYS_getppid = 173, SYS_prctl = 167, SYS_futex = 98, SYS_exit_group = 94, SYS_openat = 56, SYS_prlimit64 = 261, SYS_seccomp = 277, SYS_execveat = 281 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}

/* A thread of this process on a stack of its own, which never returns. */
static long start_thread(long flags, void *stack, void (*run)(void)) {
  register long x8 __asm__("x8") = SYS_clone;
  register long x0 __asm__("x0") = flags;
  register void *x1 __asm__("x1") = stack;
  register long x2 __asm__("x2") = 0;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = 0;
  register void (*x9)(void) __asm__("x9") = run;
  __asm__ volatile("svc 0\n  cbnz x0, 1f\n  mov x29, xzr\n  mov x30, xzr\n  blr x9\n  brk 0\n1:"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x9)
                   : "memory");
  return x0;
}

__asm__(".globl _start\n_start:\n  mov x29, xzr\n  mov x30, xzr\n  mov x0, sp\n  bl start\n  brk 0\n");
#else
#error "x86-64 or arm64"
#endif

/* The same number on both architectures. */
enum { SYS_close_range = 436, SYS_landlock_create_ruleset = 444, SYS_landlock_add_rule = 445, SYS_landlock_restrict_self = 446 };

enum { ORDERS = 3, STDERR = 2, EXIT_REFUSED = 121 };
enum { AT_FDCWD = -100, AT_EMPTY_PATH = 0x1000, O_PATH = 010000000, O_CLOEXEC = 02000000, F_DUPFD_CLOEXEC = 1030 };
enum { PR_SET_PDEATHSIG = 1, PR_SET_NO_NEW_PRIVS = 38, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4 };
enum { SIGKILL = 9, RLIMIT_NOFILE = 7, SECCOMP_SET_MODE_FILTER = 1, SECCOMP_FILTER_FLAG_NEW_LISTENER = 8 };
/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM */
enum { A_THREAD = 0x50f00, FUTEX_WAIT = 128, FUTEX_WAKE = 129 };
#define SECCOMP_IOCTL_NOTIF_RECV 0xc0502100L
#define SECCOMP_IOCTL_NOTIF_SEND 0xc0182101L
enum { LANDLOCK_CREATE_RULESET_VERSION = 1, LANDLOCK_RULE_PATH_BENEATH = 1 };

/* -- the end of it ------------------------------------------------------------------------------------------------ */

static u64 length(const char *text) {
  u64 count = 0;
  while (text[count]) count++;
  return count;
}

static void say(const char *text) { call(SYS_write, STDERR, (long)text, (long)length(text), 0, 0); }

static void say_number(u64 value) {
  char digits[24];
  int at = sizeof digits - 1;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  say(digits + at);
}

__attribute__((noreturn)) static void refuse(const char *step, long error) {
  say("sallyport-jail: ");
  say(step);
  if (error < 0) {
    say(": error ");
    say_number((u64)-error);
  }
  say("\n");
  for (;;) call(SYS_exit_group, EXIT_REFUSED, 0, 0, 0, 0);
}

static long must(const char *step, long result) {
  if (result < 0) refuse(step, result);
  return result;
}

/* -- the orders --------------------------------------------------------------------------------------------------- */

static u8 orders[128 * 1024];
static u64 size, at;

static void read_orders(void) {
  while (size < sizeof orders) {
    long got = must("read orders", call(SYS_read, ORDERS, (long)(orders + size), (long)(sizeof orders - size), 0, 0));
    if (got == 0) return;
    size += (u64)got;
  }
  refuse("orders are too long", 0);
}

static u8 *take(u64 bytes) {
  if (bytes > size - at) refuse("orders are too short", 0);
  u8 *start = orders + at;
  at += bytes;
  return start;
}

static u32 take32(void) {
  u8 *byte = take(4);
  return (u32)byte[0] | (u32)byte[1] << 8 | (u32)byte[2] << 16 | (u32)byte[3] << 24;
}

static u64 take64(void) {
  u64 low = take32();
  return low | (u64)take32() << 32;
}

/* -- the steps, in the order of the orders ------------------------------------------------------------------------ */

static void check_header(void) {
  static const char expected[] = "SALLYJL1";
  u8 *magic = take(8);
  for (int index = 0; index < 8; index++)
    if (magic[index] != (u8)expected[index]) refuse("orders are of another version", 0);
  if (take32() != size) refuse("orders are not whole", 0);
}

static void die_with_parent(void) {
  u32 parent = take32();
  if (parent == 0) return;
  must("die with parent", call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  /* The parent may have gone before the line above took hold. */
  if ((u32)call(SYS_getppid, 0, 0, 0, 0, 0) != parent) refuse("the parent is gone", 0);
}

/* The program's descriptor: the first number that the limit below puts out of reach for good, so that nothing opened
   later can be started by it. */
static long place_program(const char *path, u32 number) {
  long program = must("open the program", call(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0, 0));
  if (number == 0) return program;
  long placed = must("place the program", call(SYS_fcntl, program, F_DUPFD_CLOEXEC, number, 0, 0));
  if (placed != (long)number) refuse("place the program", 0);
  return placed;
}

static void set_limits(u32 program) {
  int bounded = program == 0;
  for (u32 count = take32(); count > 0; count--) {
    u32 resource = take32();
    u64 value = take64();
    u64 limit[2] = {value, value};
    if (resource == RLIMIT_NOFILE && value <= program) bounded = 1;
    must("set a limit", call(SYS_prlimit64, 0, resource, (long)limit, 0, 0));
  }
  if (!bounded) refuse("the program's descriptor is within the limit", 0);
}

static u64 file_rights(long abi) {
  u64 rights = 0x1fff;           /* ABI 1: execute, write, read, list, remove and make of each kind */
  if (abi >= 2) rights |= 0x2000; /* refer */
  if (abi >= 3) rights |= 0x4000; /* truncate */
  if (abi >= 5) rights |= 0x8000; /* ioctl of devices */
  return rights;
}

static void allow_path(long ruleset, u64 handled) {
  struct { u64 rights; int path; } __attribute__((packed)) rule;
  rule.rights = take64() & handled;
  u32 bytes = take32();
  char *path = (char *)take(bytes);
  if (bytes == 0 || path[bytes - 1] != 0) refuse("a path does not end", 0);
  long opened = call(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0, 0);
  if (opened < 0) {
    say("sallyport-jail: cannot open ");
    say(path);
    say("\n");
    refuse("open a path", opened);
  }
  rule.path = (int)opened;
  must("allow a path", call(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, (long)&rule, 0, 0));
}

static void restrict_files(void) {
  u32 least = take32();
  u32 most = take32();
  u32 paths = take32();
  if (least == 0) {
    if (paths != 0) refuse("paths without landlock", 0);
    return;
  }
  long abi = must("landlock is not there", call(SYS_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION, 0, 0));
  if (abi < (long)least) refuse("landlock is too old", 0);
  if (most != 0 && abi > (long)most) abi = (long)most;
  /* Everything that this kernel can refuse is refused: TCP bind and connect from ABI 4, abstract sockets and signals
     towards processes outside from ABI 6. */
  struct { u64 files, net, scopes; } attributes = {file_rights(abi), 3, 3};
  u64 bytes = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  long ruleset = must("make a ruleset", call(SYS_landlock_create_ruleset, (long)&attributes, (long)bytes, 0, 0, 0));
  for (; paths > 0; paths--) allow_path(ruleset, attributes.files);
  must("restrict files", call(SYS_landlock_restrict_self, ruleset, 0, 0, 0, 0));
}

/* Neither descriptor nor flags say which program an exec starts: a path from / makes the kernel forget the descriptor, and
   a filter cannot read the path. So the filter asks a listener about every exec. This thread is it: it lets one pass, the
   helper's own, and ends with that exec, and with it the listener. Who asks later is told that there is no such call. */
static int heard_by; /* the listener's number and one; 0 until it is there */
static u8 witness_stack[4096] __attribute__((aligned(16)));

static void sleep_while(int *word, int value) { call(SYS_futex, (long)word, FUTEX_WAIT, value, 0, 0); }

static void let_one_start(void) {
  static u64 asked[10];
  static struct { u64 id, value; u32 error, flags; } reply;
  while (__atomic_load_n(&heard_by, __ATOMIC_ACQUIRE) == 0) sleep_while(&heard_by, 0);
  int listener = heard_by - 1;
  must("hear of the start", call(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, (long)asked, 0, 0));
  reply.id = asked[0];
  reply.flags = 1; /* go on */
  must("let the start pass", call(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, (long)&reply, 0, 0));
  static int never;
  for (;;) sleep_while(&never, 0);
}

struct instruction { u16 code; u8 if_true, if_false; u32 value; };

static void filter_calls(void) {
  u32 own = (u32)must("own pid", call(SYS_getpid, 0, 0, 0, 0, 0));
  u32 marks = take32();
  u8 *mark = take((u64)marks * 4);
  u32 count = take32();
  u8 *bytes = take((u64)count * 8);
  if (at != size) refuse("orders hold more", 0);
  static struct instruction program[4096];
  if (count == 0 || count > 4096) refuse("the filter's size", 0);
  for (u32 index = 0; index < count; index++) {
    u8 *from = bytes + (u64)index * 8;
    program[index].code = (u16)(from[0] | from[1] << 8);
    program[index].if_true = from[2];
    program[index].if_false = from[3];
    program[index].value = (u32)from[4] | (u32)from[5] << 8 | (u32)from[6] << 16 | (u32)from[7] << 24;
  }
  /* exec keeps the pid, so the filter can tell the process from all others. */
  for (u32 index = 0; index < marks; index++) {
    u8 *from = mark + (u64)index * 4;
    u32 place = (u32)from[0] | (u32)from[1] << 8 | (u32)from[2] << 16 | (u32)from[3] << 24;
    if (place >= count) refuse("a mark is outside the filter", 0);
    program[place].value = own;
  }
  struct { u16 count; struct instruction *program; } filter = {(u16)count, program};
  must("start a thread", start_thread(A_THREAD, witness_stack + sizeof witness_stack, let_one_start));
  long listener = must("filter system calls", call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                                                   (long)&filter, 0, 0));
  __atomic_store_n(&heard_by, (int)listener + 1, __ATOMIC_RELEASE);
  call(SYS_futex, (long)&heard_by, FUTEX_WAKE, 1, 0, 0);
}

__attribute__((used, noreturn)) void start(long *stack) {
  long count = stack[0];
  char **arguments = (char **)(stack + 1);
  char **environment = arguments + count + 1;
  if (count < 3) refuse("usage: jail PROGRAM ARG0 [ARG...]", 0);

  read_orders();
  check_header();
  must("close descriptors", call(SYS_close_range, ORDERS, ~0U, 0, 0, 0));
  die_with_parent();
  call(SYS_umask, take32(), 0, 0, 0, 0);
  must("no new privileges", call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  /* A host that was given capabilities by whoever started it does not pass them on. */
  must("give up capabilities", call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  u32 number = take32();
  long program = place_program(arguments[1], number);
  set_limits(number);
  restrict_files();
  filter_calls();
  refuse("start the program", call(SYS_execveat, program, (long)"", (long)(arguments + 2), (long)environment, AT_EMPTY_PATH));
}
