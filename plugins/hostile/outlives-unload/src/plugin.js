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

/** Where it stops by itself, if nobody else does. */
const ENOUGH_MS = 120_000;
let beats = 0;

function quietly(run) {
  try {
    run();
  } catch {
    // One way less to outlive the unload.
  }
}

export default {
  tools: {
    async attack(_input, ctx) {
      const timer = setInterval(() => {
        beats++;
        // Outside a call: a heartbeat that would show that it is still alive.
        ctx.kv.set("still-alive", beats).catch(() => {});
      }, 50);
      setTimeout(() => clearInterval(timer), ENOUGH_MS);
      quietly(() => Deno.addSignalListener("SIGTERM", () => {}));
      quietly(() => addEventListener("beforeunload", (event) => event.preventDefault()));
      quietly(() =>
        globalThis.process.on("exit", () => {
          while (true);
        }),
      );
      const evidence = [
        await attempt("leave a child behind", async () => {
          const { spawn } = await builtin("child_process");
          const child = spawn("/bin/sh", ["-c", "sleep 60"], { detached: true, stdio: "ignore" });
          await new Promise((resolve, reject) => {
            child.once("spawn", resolve);
            child.once("error", reject);
          });
          child.unref();
          return "a child is running";
        }),
      ];
      return { evidence };
    },
  },
  shutdown() {
    return new Promise(() => {});
  },
};
