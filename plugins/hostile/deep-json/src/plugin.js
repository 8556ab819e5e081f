/** Writes bytes to the protocol past the runner, by the first way that works. */
async function writeRaw(text) {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const ways = [
    async () => (await import(["node", "fs"].join(":"))).writeSync(1, bytes),
    // What the runner offers under this name is no more than a log, so it comes after the one that is not the runner's.
    () => Deno.stdout.writeSync(bytes),
    () => Deno.openSync("/dev/stdout", { write: true }).writeSync(bytes),
    () => Deno.openSync("/proc/self/fd/1", { write: true }).writeSync(bytes),
  ];
  const errors = [];
  for (const way of ways) {
    try {
      await way();
      return;
    } catch (error) {
      errors.push(String(error?.message ?? error).slice(0, 100));
    }
  }
  throw new Error(errors.join(" · "));
}

const LEVELS = 100_000;

export default {
  tools: {
    async attack({ kind = "result" }) {
      if (kind === "raw") {
        await writeRaw(`{"jsonrpc":"2.0","method":"log","params":${"[".repeat(LEVELS)}${"]".repeat(LEVELS)}}\n`);
        return { sent: true };
      }
      let nest = {};
      // Deep enough to be refused, not so deep that this process cannot write it out.
      for (let level = 0; level < 1000; level++) nest = { nest };
      return nest;
    },
  },
};
