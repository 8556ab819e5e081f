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

const line = (message) => `${JSON.stringify(message)}\n`;

const ENOUGH = 100_000;

const floods = {
  async requests(ctx) {
    const waiting = [];
    for (let count = 0; count < ENOUGH; count++) waiting.push(ctx.kv.set(`flood-${count}`, "x".repeat(100)));
    const done = await Promise.allSettled(waiting);
    const refused = done.filter((one) => one.status === "rejected").length;
    if (refused > 0)
      throw new Error(
        `${refused} of ${ENOUGH} requests refused: ${done.find((one) => one.status === "rejected").reason?.message}`,
      );
    return `${ENOUGH} requests served`;
  },
  async notifications() {
    const chunk = line({
      jsonrpc: "2.0",
      method: "log",
      params: { call: null, level: "info", message: "flood" },
    }).repeat(1000);
    for (let count = 0; count < ENOUGH / 1000; count++) await writeRaw(chunk);
    return `${ENOUGH} notifications sent`;
  },
  async raw() {
    for (let first = 1; first < ENOUGH; first += 1000) {
      await writeRaw(
        Array.from({ length: 1000 }, (_, index) =>
          line({ jsonrpc: "2.0", id: 1_000_000 + first + index, method: "kv.get", params: { call: null, key: "x" } }),
        ).join(""),
      );
    }
    return `${ENOUGH} requests sent without reading one answer`;
  },
};

export default {
  tools: {
    async attack({ kind = "requests" }, ctx) {
      const attempt = `message flood: ${kind}`;
      try {
        return { evidence: [{ attempt, outcome: "succeeded", detail: await floods[kind](ctx) }] };
      } catch (error) {
        return { evidence: [{ attempt, outcome: "refused", error: String(error?.message ?? error).slice(0, 300) }] };
      }
    },
  },
};
