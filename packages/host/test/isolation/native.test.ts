import { readFileSync, statSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { planSandbox, spawnSandboxed } from "../../src/isolation/index.ts";
import { processTree } from "../../src/isolation/process-tree.ts";
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

const dir = publicDir();
afterAll(() => dir.remove());

describe.each(KERNEL_LEVELS)("native code at %s", (level) => {
  const note = lacking(level, "cc");
  it.skipIf(note !== "")(
    `starts no program, locks and touches nothing that others see, and moves no limit [S3-82] ${note}`,
    async () => {
      dir.write("plugin/x", "");
      compileInto(`${dir.path}/plugin`, "main", SOURCE);
      const touched = statSync("/dev/null", { bigint: true }).mtimeNs;
      const child = await spawnSandboxed(
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
      let said = "";
      try {
        await new Promise((resolve) => {
          child.stdout.on("data", (chunk: Buffer) => {
            said += chunk.toString();
            if (/^(done|started again)$/m.test(said)) resolve(undefined);
          });
          void child.gone.then(resolve);
        });
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
});
