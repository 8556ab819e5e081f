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

/** What the host sets for the engine itself; anything else would come from outside. */
const HARMLESS = /^(?:DENO_[A-Z_]+|NO_COLOR|PWD)$/;

const found = (record) => {
  const names = Object.keys(record ?? {}).filter((name) => !HARMLESS.test(name));
  if (names.length === 0) throw new Error("the environment is empty");
  return `variables ${names.join(", ")}`;
};

export default {
  tools: {
    async attack() {
      const evidence = [
        await attempt("Deno.env.toObject", () => found(Deno.env.toObject())),
        await attempt("process.env", () => found({ ...globalThis.process.env })),
        await attempt("node:process", async () => found({ ...(await builtin("process")).env })),
        await attempt("process.env.HOME", () => {
          if (globalThis.process.env.HOME === undefined) throw new Error("not set");
          return "set";
        }),
        await attempt("node:os userInfo", async () => (await builtin("os")).userInfo().username),
        await attempt("node:os homedir", async () => {
          const home = (await builtin("os")).homedir();
          if (!home || home === "/" || home === "/tmp") throw new Error("no home");
          return "a home directory";
        }),
        await attempt("process.report", () => found(globalThis.process.report.getReport().environmentVariables)),
      ];
      for (const pid of ["self", "1", "2", "thread-self"]) {
        for (const file of ["environ", "cmdline", "maps", "status"]) {
          evidence.push(
            await attempt(
              `/proc/${pid}/${file}`,
              async () => `${(await builtin("fs")).readFileSync(`/proc/${pid}/${file}`).length} bytes`,
            ),
          );
        }
      }
      // 0 to 2 are the protocol and the log; anything else that answers was leaked by the host.
      for (let descriptor = 3; descriptor <= 20; descriptor++) {
        evidence.push(
          await attempt(`read descriptor ${descriptor}`, async () => {
            const { readSync, fstatSync } = await builtin("fs");
            if (!fstatSync(descriptor).isFile()) throw new Error("not a file");
            return `${readSync(descriptor, new Uint8Array(64), 0, 64, 0)} bytes`;
          }),
        );
      }
      return { evidence };
    },
  },
};
