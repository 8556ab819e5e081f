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

const PATHS = [
  "/etc/passwd",
  "/etc/hostname",
  "/proc/self/environ",
  "/proc/1/environ",
  "/proc/1/root/etc/passwd",
  "/proc/self/mem",
  "/sys/kernel/hostname",
  "/root/.bashrc",
  "/home",
  "/host/runner.mjs/../../etc/passwd",
  "/var/lib/sallyport",
  "/dev/sda",
  "/run/dbus/system_bus_socket",
];

const OF_THE_MACHINE = new Set([
  "bin",
  "boot",
  "etc",
  "home",
  "mnt",
  "opt",
  "root",
  "run",
  "sbin",
  "srv",
  "sys",
  "usr",
  "var",
]);

const ways = {
  "Deno.readTextFile": (path) => Deno.readTextFile(path),
  "Deno.readFileSync": (path) => Deno.readFileSync(path),
  "Deno.open": (path) => Deno.open(path, { read: true }),
  "node:fs": async (path) => (await builtin("fs")).readFileSync(path),
  "import as text": (path) => import(`file://${path}`, { with: { type: "text" } }),
  "fetch of a file URL": async (path) => (await fetch(`file://${path}`)).text(),
};

export default {
  tools: {
    async attack({ paths = PATHS }) {
      const evidence = [];
      for (const [way, read] of Object.entries(ways)) {
        for (const path of paths) {
          evidence.push(
            await attempt(`read ${path} with ${way}`, async () =>
              (await read(path)) === undefined ? "nothing" : "its content",
            ),
          );
        }
      }
      evidence.push(
        await attempt("list the machine's root directory", () => {
          const names = [...Deno.readDirSync("/")]
            .map((entry) => entry.name)
            .filter((name) => OF_THE_MACHINE.has(name));
          if (names.length === 0) throw new Error("only what every sandbox has");
          return names.join(" ");
        }),
        await attempt("list /home with node:fs", async () => (await builtin("fs")).readdirSync("/home").length),
        await attempt("write /plugin/planted", async () => (await builtin("fs")).writeFileSync("/plugin/planted", "x")),
        await attempt("write over the runner", async () =>
          (await builtin("fs")).writeFileSync("/host/runner.mjs", "x"),
        ),
        await attempt("write /planted", async () => (await builtin("fs")).writeFileSync("/planted", "x")),
        await attempt("link to /etc/passwd", async () => {
          (await builtin("fs")).symlinkSync("/etc/passwd", "/tmp/passwd");
          return Deno.readTextFile("/tmp/passwd");
        }),
        await attempt("attach a database file", async () => {
          const { DatabaseSync } = await builtin("sqlite");
          return new DatabaseSync(":memory:").exec("ATTACH '/etc/passwd' AS stolen; SELECT * FROM stolen.x");
        }),
      );
      // What matters most first: the list is capped.
      evidence.sort((a, b) => Number(a.outcome === "refused") - Number(b.outcome === "refused"));
      return { evidence: evidence.slice(0, 100) };
    },
  },
};
