import { readFileSync, statSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { planSandbox, type SandboxedProcess, spawnSandboxed } from "../../src/isolation/index.ts";
import { isAlive, processTree } from "../../src/isolation/process-tree.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";
import { compileInto, KERNEL_LEVELS, lacking } from "../programs/support.ts";
import { engine, hostIsRoot, probe, publicDir } from "./support.ts";

/** What native code does in a plugin's process that no library does for it; a line for each attempt: name and result. */
const SOURCE = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TRY(name, action) do { errno = 0; long result = (long)(action); printf("%s %ld\\n", name, result < 0 ? -errno : 0L); } while (0)
static long limit(int resource, unsigned long value) { struct rlimit one = {value, value}; return setrlimit(resource, &one); }
int main(int count, char **arguments) {
  if (count > 1) { printf("started again\\n"); return 0; }
  int null = open("/dev/null", O_RDWR);
  struct flock lock = {.l_type = F_WRLCK, .l_start = 4711, .l_len = 1};
  struct flock whole = {.l_type = F_WRLCK, .l_start = 815, .l_len = 1};
  TRY("flock", flock(null, LOCK_EX | LOCK_NB));
  TRY("F_SETLK", fcntl(null, F_SETLK, &lock));
  TRY("F_OFD_SETLK", fcntl(null, 37, &whole));
  TRY("touch", utimensat(AT_FDCWD, "/dev/null", 0, 0));
  TRY("touch-fd", futimens(null, 0));
  TRY("stack", limit(RLIMIT_STACK, RLIM_INFINITY));
  TRY("core", limit(RLIMIT_CORE, 0));
  TRY("core-raw", syscall(SYS_setrlimit, RLIMIT_CORE, (unsigned long[]){0, 0}));
  TRY("descriptors", limit(RLIMIT_NOFILE, 200));
  TRY("unshare-files", syscall(SYS_close_range, 100, 200, 2));
  TRY("large-pipe", ({ int ends[2]; pipe(ends); fcntl(ends[0], 1031, 1 << 20); }));
  TRY("huge-pages", (long)mmap(0, 2 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == -1 ? -1 : 0);
  char *again[] = {arguments[0], "again", 0}, *none[] = {0};
  TRY("exec-absolute", syscall(SYS_execveat, 256, arguments[0], again, none, AT_EMPTY_PATH));
  TRY("exec-loader", syscall(SYS_execveat, 256, "/lib64/ld-linux-x86-64.so.2", again, none, AT_EMPTY_PATH));
  TRY("exec-here", syscall(SYS_execveat, AT_FDCWD, arguments[0], again, none, 0));
  printf("done\\n");
  fflush(stdout);
  getchar();
}
`;

/** Memory that is counted nowhere else: behind a first thread that is over, and in the tables of pages that are only read. */
const HIDING = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *rest(void *unused) {
  memset(mmap(0, 48L << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 48L << 20);
  char *tables = mmap(0, 32L << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  madvise(tables, 32L << 30, MADV_NOHUGEPAGE);
  long sum = 0;
  for (long at = 0; at < 32L << 30; at += 2L << 20) sum += tables[at];
  dprintf(1, "done %ld\\n", sum);
  for (;;) pause();
}
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, rest, 0);
  syscall(SYS_exit, 0);
}
`;

const dir = publicDir();
afterAll(() => dir.remove());

/** Starts a C program as a plugin's process. */
async function start(level: IsolationLevel, source: string, flags: readonly string[] = []): Promise<SandboxedProcess> {
  dir.write("plugin/x", "");
  compileInto(`${dir.path}/plugin`, "main", source, ["-static", ...flags]);
  return spawnSandboxed(
    await planSandbox({
      level,
      engine,
      tools: probe.tools,
      root: `${dir.path}/plugin`,
      memoryMb: 64,
      hostIsRoot,
      program: { interpreter: null, entry: "main", args: [], proxySocket: null },
    }),
  );
}

/** What it has said when it says that it is done, or is gone. */
function saidBy(child: SandboxedProcess): Promise<string> {
  let said = "";
  return new Promise((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (/^(done.*|started again)$/m.test(said)) resolve(said);
    });
    void child.gone.then(() => resolve(said));
  });
}

describe.each(KERNEL_LEVELS)("native code at %s", (level) => {
  const note = lacking(level, "cc");
  it.skipIf(note !== "")(
    `starts no program, locks and touches nothing that others see, and moves no limit [S3-82] ${note}`,
    async () => {
      const touched = statSync("/dev/null", { bigint: true }).mtimeNs;
      const child = await start(level, SOURCE);
      let said = "";
      try {
        said = await saidBy(child);
        const pids = processTree(child.pid).map(({ pid }) => String(pid));
        const locks = readFileSync("/proc/locks", "utf8").split("\n");
        expect(locks.filter((line) => line.split(/\s+/).some((word) => pids.includes(word)))).toEqual([]);
      } finally {
        child.kill();
        await child.gone;
      }
      const answers = Object.fromEntries(
        said
          .trim()
          .split("\n")
          .map((line) => line.split(" ")),
      );
      const [nothing, refused, absent] = ["0", "-1", "-38"];
      expect(answers).toEqual({
        flock: nothing,
        F_SETLK: nothing,
        F_OFD_SETLK: nothing,
        touch: absent,
        "touch-fd": absent,
        stack: refused,
        core: refused,
        "core-raw": refused,
        descriptors: nothing,
        "unshare-files": refused,
        "large-pipe": refused,
        "huge-pages": refused,
        "exec-absolute": absent,
        "exec-loader": absent,
        "exec-here": refused,
        done: undefined,
      });
      expect(statSync("/dev/null", { bigint: true }).mtimeNs).toBe(touched);
    },
  );

  it.skipIf(note !== "")(`hides no memory behind a thread that is over, nor in page tables ${note}`, async () => {
    const child = await start(level, HIDING, ["-pthread"]);
    try {
      expect(await saidBy(child)).toMatch(/^done/);
      const usage = await child.usage();
      expect((usage?.residentBytes ?? 0) / 1024 / 1024).toBeGreaterThan(48 + 64);
      expect(processTree(child.pid).map(isAlive)).not.toContain(false);
    } finally {
      child.kill();
      await child.gone;
    }
  });
});
