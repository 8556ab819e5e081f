/** A throw-away home with the echo plugin approved and loaded. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { starterConfig } from "../packages/host/dist/config/index.js";
import { createHost } from "../packages/host/dist/index.js";
import { storeRoot } from "../packages/host/dist/isolation/index.js";

const OPERATOR = { name: "bench" };
export const ECHO = fileURLToPath(new URL("../plugins/echo", import.meta.url));
export const MAIN = fileURLToPath(new URL("../packages/host/dist/cli/main.js", import.meta.url));

/** @param options.minimum the floor of isolation; `runtime` for measuring that level. */
export async function makeHome({ minimum = "kernel" } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
  const path = join(folder, "home");
  await mkdir(join(path, "keys"), { recursive: true, mode: 0o700 });
  const config = starterConfig({ pluginsEnabled: true }).replace("minimum: kernel", `minimum: ${minimum}`);
  await writeFile(join(path, "config.yml"), config, { mode: 0o600 });
  return {
    path,
    async remove() {
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(path, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function openWithEcho(path, overrides = {}) {
  const host = await createHost({ home: path, overrides });
  await host.plugins.install(OPERATOR, { source: ECHO });
  await host.plugins.approve(OPERATOR, "echo", { allowTools: ["note"] });
  await host.plugins.load(OPERATOR, "echo");
  return host;
}

/** Runs `work` with a host for each level that this machine has. The plugin `echo` is loaded. */
export async function atEachLevel(work) {
  for (const level of ["namespace", "landlock", "runtime"]) {
    const home = await makeHome({ minimum: "runtime" });
    let host;
    try {
      host = await openWithEcho(home.path, { levels: [level] });
      await work(host, level);
    } catch (error) {
      console.log(`  ${level}: not measured: ${error.message}`);
    } finally {
      await host?.close();
      await home.remove();
    }
  }
}
