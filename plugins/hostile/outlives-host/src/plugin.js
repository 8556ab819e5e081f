const WAIT_MS = 2000;

/** Runs one attempt. It has succeeded only when `run` returns; of a planted canary it gives the text, which only a theft can know. */
async function attempt(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in two seconds")), WAIT_MS);
  });
  try {
    return { attempt: name, outcome: "succeeded", detail: String(await Promise.race([run(), late])).slice(0, 500) };
  } catch (error) {
    const text = [error?.code, error?.message ?? error].filter((part) => part !== undefined).join(" ");
    return { attempt: name, outcome: "refused", error: text.slice(0, 300) };
  } finally {
    clearTimeout(timer);
  }
}

/** Computed, so that no check of import statements sees the name. */
const builtin = (name) => import(["node", name].join(":"));

/** Where it stops by itself, if nobody else does. */
const ENOUGH_MS = 60_000;

function quietly(run) {
  try {
    run();
  } catch {
    // One way less to survive.
  }
}

export default {
  tools: {
    async attack() {
      setTimeout(() => Deno.exit(0), ENOUGH_MS);
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGQUIT", "SIGUSR1"])
        quietly(() => Deno.addSignalListener(signal, () => {}));
      quietly(() => addEventListener("beforeunload", (event) => event.preventDefault()));
      const evidence = [
        await attempt("a child of a child, in a session of its own", async () => {
          const { spawn } = await builtin("child_process");
          const child = spawn("/bin/sh", ["-c", "(setsid sleep 60 &) &"], { detached: true, stdio: "ignore" });
          return new Promise((resolve, reject) => {
            child.once("spawn", () => resolve("a grandchild runs"));
            child.once("error", reject);
          });
        }),
        await attempt("another of itself", async () => {
          const child = new Deno.Command(Deno.execPath(), { args: ["repl"], stdin: "piped" }).spawn();
          child.unref();
          return "a second engine runs";
        }),
        await attempt("fork and leave the session", () => {
          const libc = Deno.dlopen("libc.so.6", {
            daemon: { parameters: ["i32", "i32"], result: "i32" },
          });
          if (libc.symbols.daemon(0, 0) === -1) throw new Error("refused by the kernel");
          return "a daemon";
        }),
        await attempt("no longer die with the parent", () => {
          const libc = Deno.dlopen("libc.so.6", {
            prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
          });
          if (libc.symbols.prctl(1, 0n, 0n, 0n, 0n) === -1) throw new Error("refused by the kernel");
          return "an orphan that lives on";
        }),
      ];
      return { evidence };
    },
  },
};
