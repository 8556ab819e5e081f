/*
 * forward: the way out of a program's jail. Listens on 127.0.0.1:PORT of the jail's empty network namespace, passes
 * every connection on to the host's proxy (a unix socket), and becomes the next program.
 *
 *     forward PORT SOCKET PROGRAM [ARGUMENT...]
 *
 * All of it is the host's. The listener is there before the program starts, so that it never meets a refusal. The child
 * that forwards keeps none of the program's descriptors, and ends with the process namespace. Whatever fails before the
 * program runs: one line on stderr that names the step, and exit code 121. There is no libc: what runs here is what is
 * written here.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#ifndef SOURCE_SHA256
#error "build with scripts/build-helper.mjs"
#endif

/* Ties a binary to the source it was made from; a test compares. */
__attribute__((used)) static const char SOURCE[] = "sallyport-forward-source:" SOURCE_SHA256;

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_ppoll = 271, SYS_fcntl = 72, SYS_socket = 41, SYS_connect = 42, SYS_sendto = 44,
       SYS_shutdown = 48, SYS_bind = 49, SYS_listen = 50, SYS_accept4 = 288, SYS_clone = 56, SYS_execve = 59,
       SYS_exit_group = 231 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start\n  hlt\n");
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_close = 57, SYS_ppoll = 73, SYS_fcntl = 25, SYS_socket = 198, SYS_connect = 203, SYS_sendto = 206,
       SYS_shutdown = 210, SYS_bind = 200, SYS_listen = 201, SYS_accept4 = 242, SYS_clone = 220, SYS_execve = 221,
       SYS_exit_group = 94 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = 0;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}

__asm__(".globl _start\n_start:\n  mov x29, xzr\n  mov x30, xzr\n  mov x0, sp\n  bl start\n  brk 0\n");
#else
#error "x86-64 or arm64"
#endif

/* The same number on both architectures. */
enum { SYS_close_range = 436 };

enum { STDERR = 2, EXIT_REFUSED = 121 };
enum { AF_UNIX = 1, AF_INET = 2, SOCK_STREAM = 1, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000, SHUT_WR = 1 };
enum { MSG_NOSIGNAL = 0x4000, F_SETFL = 4, O_NONBLOCK = 04000, POLLIN = 1, POLLOUT = 4, SIGCHLD = 17 };
enum { EINTR = 4, EAGAIN = 11 };
enum { CONNECTIONS = 32, WAITING = 128, CHUNK = 16384 };

struct polled { int fd; short events, seen; };
struct inet { u16 family, port; u8 address[4]; u8 rest[8]; };
struct local { u16 family; char path[108]; };

/* One direction: bytes read and not yet written. */
struct flow { long start, end; int ended, told; u8 bytes[CHUNK]; };
struct pair { int inside, outside; struct flow out, in; };

static struct pair pairs[CONNECTIONS];
static struct polled polled[1 + 2 * CONNECTIONS];
static struct local proxy;

static u64 length(const char *text) {
  u64 count = 0;
  while (text[count]) count++;
  return count;
}

static void say(const char *text) { call(SYS_write, STDERR, (long)text, (long)length(text), 0, 0); }

__attribute__((noreturn)) static void leave(int code) {
  for (;;) call(SYS_exit_group, code, 0, 0, 0, 0);
}

static long must(const char *step, long result) {
  if (result >= 0) return result;
  say("sallyport-forward: ");
  say(step);
  say("\n");
  leave(EXIT_REFUSED);
}

static void close_fd(int fd) { call(SYS_close, fd, 0, 0, 0, 0); }

static void drop(struct pair *pair) {
  close_fd(pair->inside);
  close_fd(pair->outside);
  pair->inside = pair->outside = -1;
}

static void reset(struct flow *flow) {
  flow->start = flow->end = 0;
  flow->ended = flow->told = 0;
}

static int to_proxy(void) {
  int fd = (int)call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0);
  if (fd < 0) return -1;
  if (call(SYS_connect, fd, (long)&proxy, sizeof proxy, 0, 0) >= 0 && call(SYS_fcntl, fd, F_SETFL, O_NONBLOCK, 0, 0) >= 0)
    return fd;
  close_fd(fd);
  return -1;
}

static void accept_one(int listener) {
  int inside = (int)call(SYS_accept4, listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (inside < 0) return;
  struct pair *place = 0;
  for (int index = 0; index < CONNECTIONS && !place; index++)
    if (pairs[index].inside < 0) place = &pairs[index];
  int outside = place ? to_proxy() : -1;
  if (outside < 0) return close_fd(inside);
  place->inside = inside;
  place->outside = outside;
  reset(&place->out);
  reset(&place->in);
}

static int is_final(long result) { return result < 0 && result != -EAGAIN && result != -EINTR; }

/* Moves what can be moved; false when the connection is broken. */
static int move(struct flow *flow, int from, int to, int seen) {
  if (seen && !flow->ended && flow->start == flow->end) {
    long count = call(SYS_read, from, (long)flow->bytes, CHUNK, 0, 0);
    if (is_final(count)) return 0;
    if (count == 0) flow->ended = 1;
    if (count > 0) {
      flow->start = 0;
      flow->end = count;
    }
  }
  if (flow->start < flow->end) {
    long count = call(SYS_sendto, to, (long)(flow->bytes + flow->start), flow->end - flow->start, MSG_NOSIGNAL, 0);
    if (is_final(count)) return 0;
    if (count > 0) flow->start += count;
  }
  if (flow->ended && flow->start == flow->end && !flow->told) {
    call(SYS_shutdown, to, SHUT_WR, 0, 0, 0);
    flow->told = 1;
  }
  return 1;
}

/* An end with nothing to wait for is not watched: it would report its hang-up again and again. */
static void watch(struct polled *entry, int fd, const struct flow *reading, const struct flow *writing) {
  entry->events = (short)((!reading->ended && reading->start == reading->end ? POLLIN : 0) |
                          (writing->start < writing->end ? POLLOUT : 0));
  entry->fd = entry->events ? fd : -1;
  entry->seen = 0;
}

__attribute__((noreturn)) static void forward(int listener) {
  for (;;) {
    int busy = 0;
    for (int index = 0; index < CONNECTIONS; index++) {
      struct pair *pair = &pairs[index];
      busy += pair->inside >= 0;
      watch(&polled[1 + 2 * index], pair->inside, &pair->out, &pair->in);
      watch(&polled[2 + 2 * index], pair->outside, &pair->in, &pair->out);
    }
    /* With every place taken, new connections wait in the kernel's queue. */
    polled[0].fd = busy < CONNECTIONS ? listener : -1;
    polled[0].events = POLLIN;
    polled[0].seen = 0;
    long ready = call(SYS_ppoll, (long)polled, 1 + 2 * CONNECTIONS, 0, 0, 0);
    if (is_final(ready)) leave(EXIT_REFUSED);
    for (int index = 0; index < CONNECTIONS; index++) {
      struct pair *pair = &pairs[index];
      if (pair->inside < 0) continue;
      if (!move(&pair->out, pair->inside, pair->outside, polled[1 + 2 * index].seen) ||
          !move(&pair->in, pair->outside, pair->inside, polled[2 + 2 * index].seen) || (pair->out.told && pair->in.told))
        drop(pair);
    }
    if (polled[0].seen) accept_one(listener);
  }
}

static int listen_on(const char *text) {
  u32 port = 0;
  for (const char *digit = text; *digit; digit++) port = *digit < '0' || *digit > '9' ? 65536 : port * 10 + (u32)(*digit - '0');
  if (port == 0 || port > 65535) must("read the port", -1);
  static struct inet here;
  here.family = AF_INET;
  here.port = (u16)(port >> 8 | (port & 255) << 8);
  here.address[0] = 127;
  here.address[3] = 1;
  int listener = (int)must("make the listener", call(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0));
  must("bind the listener", call(SYS_bind, listener, (long)&here, sizeof here, 0, 0));
  must("listen", call(SYS_listen, listener, WAITING, 0, 0, 0));
  return listener;
}

__attribute__((used, noreturn)) void start(long *stack) {
  long count = stack[0];
  char **arguments = (char **)(stack + 1);
  char **environment = arguments + count + 1;
  if (count < 4 || length(arguments[2]) >= sizeof proxy.path) must("usage: forward PORT SOCKET PROGRAM [ARGUMENT...]", -1);
  proxy.family = AF_UNIX;
  for (u64 index = 0; arguments[2][index]; index++) proxy.path[index] = arguments[2][index];
  for (int index = 0; index < CONNECTIONS; index++) pairs[index].inside = pairs[index].outside = -1;

  int listener = listen_on(arguments[1]);
  if (must("start the forwarder", call(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0) {
    /* The listener becomes descriptor 0's neighbour: everything but it is closed. */
    call(SYS_close_range, 0, listener - 1, 0, 0, 0);
    call(SYS_close_range, listener + 1, ~0U, 0, 0, 0);
    forward(listener);
  }
  close_fd(listener);
  must("start the program", call(SYS_execve, (long)arguments[3], (long)(arguments + 3), (long)environment, 0, 0));
  leave(EXIT_REFUSED);
}
