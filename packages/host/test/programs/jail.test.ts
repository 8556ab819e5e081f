import { afterEach, describe, expect, it } from "vitest";
import { compileInto, interpreterOf, KERNEL_LEVELS, lacking, publicDir, runProgram } from "./support.ts";

const dirs: ReturnType<typeof publicDir>[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) dir.remove();
});
function folder(files: Readonly<Record<string, string>>): string {
  const dir = publicDir();
  dirs.push(dir);
  for (const [name, text] of Object.entries(files)) dir.write(name, text);
  return dir.path;
}

const PYTHON = `
import json, os, sys, ssl, sqlite3, ctypes, threading, asyncio, urllib.request, hashlib
import beside
def attempt(action):
    try:
        value = action()
        return ["did", str(value)[:80]]
    except BaseException as error:
        return type(error).__name__
import socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return result if result >= 0 else "errno %d" % ctypes.get_errno()
out = {
  "beside": beside.VALUE, "argv": sys.argv[1:], "line": sys.stdin.readline(), "path": sys.path, "environment": dict(os.environ),
  "attacks": {
    "passwd": attempt(lambda: open("/etc/passwd").read()),
    "home": attempt(lambda: os.listdir("/root")),
    "proc": attempt(lambda: open("/proc/self/environ").read()),
    "proc1": attempt(lambda: os.listdir("/proc/1")),
    "bin": attempt(lambda: open("/bin/sh", "rb").read(4)),
    "write": attempt(lambda: open(os.path.dirname(os.path.abspath(__file__)) + "/x", "w")),
    "fork": attempt(os.fork),
    "exec": attempt(lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
    "spawn": attempt(lambda: subprocess.run([sys.executable, "-c", ""])),
    "tcp": attempt(lambda: socket.create_connection(("127.0.0.1", 22), 1)),
    "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "abstract": attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0x")),
    "dns": attempt(lambda: socket.getaddrinfo("example.com", 80)),
    "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "netlink": attempt(lambda: socket.socket(16, socket.SOCK_RAW)),
    "vsock": attempt(lambda: socket.socket(40, socket.SOCK_STREAM)),
  },
  "calls": {name: call(number, *arguments) for name, number, arguments in [
    ("ptrace", 101, (0, 0, 0, 0)), ("unshare", 272, (0x10000000,)), ("mount", 165, (0, 0, 0, 0, 0)), ("bpf", 321, (0, 0, 0)),
    ("keyctl", 250, (0, 0, 0)), ("io_uring", 425, (1, 0)), ("userfaultfd", 323, (0,)), ("memfd", 319, (b"x", 0)), ("vfork", 58, ()),
    ("clone3", 435, (0, 0)), ("setns", 308, (0, 0)), ("execve", 59, (b"/bin/sh", 0, 0)),
  ]} if os.uname().machine == "x86_64" else {},
}
done = threading.Thread(target=lambda: out.update(thread=True)); done.start(); done.join()
out["loop"] = asyncio.run(asyncio.sleep(0, "ran"))
print(json.dumps(out))
`;

describe.each(KERNEL_LEVELS)("a Python program at %s", (level) => {
  const note = lacking(level, "python");
  it.skipIf(note !== "")(`runs unmodified, and reaches nothing of the machine [S2-11] ${note}`, async () => {
    const root = folder({ "src/main.py": PYTHON, "src/beside.py": "VALUE = 42\n" });
    const run = await runProgram({
      level,
      root,
      interpreter: interpreterOf("python"),
      entry: "src/main.py",
      args: ["--flag", "a b"],
      input: "hello\n",
    });
    expect(run).toMatchObject({ code: 0, stderr: "" });
    const out: Record<string, unknown> = JSON.parse(run.stdout);
    expect(out).toMatchObject({ beside: 42, argv: ["--flag", "a b"], line: "hello\n", thread: true, loop: "ran" });
    expect(out["environment"]).toEqual({
      HOME: "/tmp",
      LANG: "C.UTF-8",
      OPENSSL_CONF: "/dev/null",
      TMPDIR: "/tmp",
      ...(level === "namespace" ? { PWD: "/tmp" } : {}),
    });
    for (const [name, result] of Object.entries(out["attacks"] as object))
      expect([name, result]).toEqual([name, expect.any(String)]);
    for (const [name, result] of Object.entries(out["calls"] as object))
      expect([name, result]).toEqual([name, expect.stringMatching(/^errno (1|38)$/)]);
    expect(JSON.stringify(out["path"])).not.toMatch(/site-packages|dist-packages/);
  });
});

const HUNGRY = `
import json, threading, time
def attempt(action):
    try:
        return action()
    except BaseException as error:
        return type(error).__name__
def write(path):
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"x" * 1024 * 1024)
    return "wrote"
stop = threading.Event()
def threads():
    count = 0
    while count < 500:
        threading.Thread(target=stop.wait, daemon=True).start()
        count += 1
    return count
out = {"memory": attempt(lambda: len(bytearray(1 << 30))), "disk": attempt(lambda: write("/tmp/x")), "threads": attempt(threads), "alive": threading.active_count()}
stop.set()
print(json.dumps(out))
`;

describe.each(KERNEL_LEVELS)("a hungry Python program at %s", (level) => {
  const note = lacking(level, "python");
  it.skipIf(note !== "")(`meets its walls: memory, disk, threads ${note}`, async () => {
    const root = folder({ "main.py": HUNGRY });
    const run = await runProgram({ level, root, interpreter: interpreterOf("python"), entry: "main.py", memoryMb: 64 });
    const out: Record<string, unknown> = JSON.parse(run.stdout);
    expect(out).toMatchObject({ memory: "MemoryError" });
    // At landlock there is no place to write at all; threads are counted by the kernel where pids are the plugin's own.
    expect(out["disk"]).toBe(level === "landlock" ? "PermissionError" : "OSError");
    expect(out["threads"]).toBe("RuntimeError");
    expect(out["alive"]).toBeLessThan(64);
  });
});

const NODE = `
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { spawnSync, fork } from "node:child_process";
import { connect, createServer } from "node:net";
import { createSocket } from "node:dgram";
import { Worker } from "node:worker_threads";
import { lookup } from "node:dns/promises";
const attempt = async (action) => { try { const value = await action(); return value instanceof Error ? value.code ?? value.name : ["did", String(value)]; } catch (error) { return error.code ?? error.name; } };
const socket = (options) => new Promise((resolve, reject) => connect(options, () => resolve("connected")).on("error", reject));
let input = "";
for await (const chunk of process.stdin) input += chunk;
const attacks = {
  passwd: await attempt(() => readFileSync("/etc/passwd", "utf8")),
  home: await attempt(() => readdirSync("/root")),
  proc: await attempt(() => readFileSync("/proc/self/environ", "utf8")),
  write: await attempt(() => writeFileSync(new URL("x", import.meta.url), "")),
  spawn: await attempt(() => spawnSync(process.execPath, ["-v"]).error ?? "ran"),
  tcp: await attempt(() => socket({ host: "127.0.0.1", port: 22 })),
  unix: await attempt(() => socket({ path: "/run/docker.sock" })),
  abstract: await attempt(() => socket({ path: "\\0x" })),
  listen: await attempt(() => new Promise((resolve, reject) => createServer().on("error", reject).listen(0, "127.0.0.1", () => resolve("listens")))),
  udp: await attempt(() => new Promise((resolve, reject) => createSocket("udp4").on("error", reject).bind(0, () => resolve("bound")))),
  dns: await attempt(() => lookup("example.com")),
  fetch: await attempt(() => fetch("http://127.0.0.1:9/")),
};
const worker = await new Promise((resolve) => new Worker("require('worker_threads').parentPort.postMessage('ran')", { eval: true }).on("message", resolve));
console.log(JSON.stringify({ input, argv: process.argv.slice(2), environment: process.env, attacks, worker }));
process.exit(0);
`;

describe.each(KERNEL_LEVELS)("a Node program at %s", (level) => {
  const note = lacking(level, "node");
  it.skipIf(note !== "")(`runs unmodified, and reaches nothing of the machine [S2-11] ${note}`, async () => {
    const root = folder({ "main.mjs": NODE });
    const run = await runProgram({
      level,
      root,
      interpreter: interpreterOf("node"),
      entry: "main.mjs",
      args: ["x"],
      input: "hello",
    });
    expect(run).toMatchObject({ code: 0, stderr: "" });
    const out: Record<string, unknown> = JSON.parse(run.stdout);
    expect(out).toMatchObject({ input: "hello", argv: ["x"], worker: "ran" });
    expect(out["environment"]).toEqual({
      HOME: "/tmp",
      LANG: "C.UTF-8",
      OPENSSL_CONF: "/dev/null",
      TMPDIR: "/tmp",
      ...(level === "namespace" ? { PWD: "/tmp" } : {}),
    });
    for (const [name, result] of Object.entries(out["attacks"] as object))
      expect([name, result]).toEqual([name, expect.any(String)]);
  });
});

const NATIVE = `
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int count, char **arguments) {
  printf("%s\\n", count > 1 ? arguments[1] : "");
  printf("%d %d %d %d\\n", open("/etc/passwd", O_RDONLY), fork(), socket(AF_INET, SOCK_STREAM, 0), open("/proc/self/maps", O_RDONLY));
  char *none[] = {0};
  execve("/bin/sh", none, none);
  printf("%d\\n", errno);
  for (int fd = 3; fd < 64; fd++) if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\\n", fd);
  return 7;
}
`;

describe.each(KERNEL_LEVELS)("an executable at %s", (level) => {
  const note = lacking(level, "cc");
  it.skipIf(note !== "").each([
    ["static", ["-static"]],
    ["dynamic", []],
  ])(`runs, %s, and reaches nothing [S2-11] ${note}`, async (_kind, flags) => {
    const root = folder({ "bin/x": "" });
    compileInto(root, "bin/server", NATIVE, flags);
    const run = await runProgram({ level, root, entry: "bin/server", args: ["hello"] });
    expect(run).toMatchObject({ code: 7, stdout: "hello\n-1 -1 -1 -1\n38\n", stderr: "" });
  });

  it.skipIf(note !== "")(
    `does not start what is no executable: a script names no interpreter here ${note}`,
    async () => {
      const root = folder({ "bin/x": "" });
      const dir = dirs.at(-1);
      dir?.write("bin/server", "#!/bin/sh\necho ran\n");
      const run = await runProgram({ level, root, entry: "bin/server" });
      expect(run.code).not.toBe(0);
      expect(run.stdout).toBe("");
    },
  );
});
