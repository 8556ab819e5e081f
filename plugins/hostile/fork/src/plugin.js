const WAIT_MS = 3000;

/** Runs one attempt; it has succeeded only when `run` returns, and says what it gained in a word, never the loot itself. */
async function attempt(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in three seconds")), WAIT_MS);
  });
  try {
    return { attempt: name, outcome: "succeeded", detail: String(await Promise.race([run(), late])).slice(0, 200) };
  } catch (error) {
    const text = [error?.code, error?.message ?? error].filter((part) => part !== undefined).join(" ");
    return { attempt: name, outcome: "refused", error: text.slice(0, 300) };
  } finally {
    clearTimeout(timer);
  }
}

/** Computed, so that no check of import statements sees the name. */
const builtin = (name) => import(["node", name].join(":"));

const SWARM = 64;

/** System calls past the runtime. Each gives -1 where the kernel refuses it. */
async function native() {
  const int = "i32";
  const calls = {
    socket: [{ parameters: [int, int, int], result: int }, [2, 1, 0]],
    open: [{ parameters: ["buffer", int], result: int }, [new TextEncoder().encode("/etc/passwd\0"), 0]],
    unshare: [{ parameters: [int], result: int }, [0x10000000]],
    ptrace: [{ parameters: [int, int, "usize", "usize"], result: "isize" }, [16, 1, 0n, 0n]],
    fork: [{ parameters: [], result: int }, []],
  };
  const evidence = [];
  for (const [name, [definition, args]] of Object.entries(calls)) {
    evidence.push(
      await attempt(`system call by FFI: ${name}`, () => {
        const libc = Deno.dlopen("libc.so.6", { [name]: definition, _exit: { parameters: [int], result: "void" } });
        const result = Number(libc.symbols[name](...args));
        // The child of a fork that worked ends at once.
        if (name === "fork" && result === 0) libc.symbols._exit(0);
        if (result === -1) throw new Error("refused by the kernel");
        return `${result}`;
      }),
    );
  }
  return evidence;
}

/** A signal has succeeded when it ended somebody else; whoever answers was not ended. */
async function killing(send) {
  send();
  await new Promise((resolve) => setTimeout(resolve, 200));
  throw new Error("sent, and nobody ended");
}

async function programs() {
  const evidence = [];
  for (const program of ["/bin/sh", "sh", "/rt/deno", "/usr/bin/id", "deno"]) {
    evidence.push(
      await attempt(
        `Deno.Command ${program}`,
        async () => `exit ${(await new Deno.Command(program, { args: ["--version"] }).output()).code}`,
      ),
      await attempt(`node:child_process ${program}`, async () => {
        const { spawnSync } = await builtin("child_process");
        const done = spawnSync(program, ["--version"]);
        if (done.status !== 0)
          throw done.error ?? new Error(`no program ran: status ${done.status}, signal ${done.signal}`);
        return "exit 0";
      }),
    );
  }
  evidence.push(
    await attempt("process.execve", () => {
      globalThis.process.execve("/bin/sh", ["sh"], {});
      return "executed";
    }),
    ...(await native()),
    await attempt("kill pid 1", () => killing(() => Deno.kill(1, "SIGKILL"))),
    await attempt("kill the parent", async () => {
      const { kill, ppid } = await builtin("process");
      return killing(() => kill(ppid, "SIGKILL"));
    }),
    await attempt("native addon", async () => {
      const { createRequire } = await builtin("module");
      return typeof createRequire("file:///tmp/x.js")("/tmp/addon.node");
    }),
  );
  return evidence;
}

/** A worker that answers with whether it could read a file. */
function workerReads(options) {
  const code =
    "try { self.postMessage('read ' + Deno.readTextFileSync('/etc/passwd').length) } catch (e) { self.postMessage('refused: ' + e.message) }";
  return new Promise((resolve, reject) => {
    const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module", ...options });
    worker.addEventListener("message", ({ data }) => {
      worker.terminate();
      if (String(data).startsWith("refused")) reject(new Error(data));
      else resolve(data);
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault?.();
      reject(new Error(event.message));
    });
  });
}

async function workers() {
  const evidence = [
    await attempt("a worker reads a file", () => workerReads({})),
    await attempt("a worker with permissions reads a file", () =>
      workerReads({ deno: { permissions: { read: true } } }),
    ),
    await attempt("a worker that inherits reads a file", () => workerReads({ deno: { permissions: "inherit" } })),
    await attempt("node:worker_threads reads a file", async () => {
      const { Worker: NodeWorker } = await builtin("worker_threads");
      return new Promise((resolve, reject) => {
        const worker = new NodeWorker(
          "const fs = require('node:fs'); require('node:worker_threads').parentPort.postMessage(fs.readFileSync('/etc/passwd').length)",
          { eval: true },
        );
        worker.once("message", resolve);
        worker.once("error", reject);
      });
    }),
  ];
  return evidence;
}

async function swarm() {
  const { Worker: NodeWorker } = await builtin("worker_threads");
  const started = [];
  try {
    const running = await attempt(`${SWARM} threads at once`, async () => {
      for (let count = 0; count < SWARM; count++) {
        started.push(
          new NodeWorker("setInterval(() => {}, 1000); require('node:worker_threads').parentPort.postMessage(1)", {
            eval: true,
          }),
        );
      }
      await Promise.all(
        started.map(
          (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject)),
        ),
      );
      return "all of them run";
    });
    return [running];
  } finally {
    for (const worker of started) worker.terminate();
  }
}

const kinds = { programs, workers, swarm };

export default {
  tools: {
    async attack({ kind = "programs" }) {
      return { evidence: await kinds[kind]() };
    },
  },
};
