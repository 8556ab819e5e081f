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

export async function makeHome() {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
  const path = join(folder, "home");
  await mkdir(join(path, "keys"), { recursive: true, mode: 0o700 });
  await writeFile(join(path, "config.yml"), starterConfig({ pluginsEnabled: true }), { mode: 0o600 });
  return {
    path,
    async remove() {
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(path, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function openWithEcho(path) {
  const host = await createHost({ home: path });
  await host.plugins.install(OPERATOR, { source: ECHO });
  await host.plugins.approve(OPERATOR, "echo", { allowTools: ["note"] });
  await host.plugins.load(OPERATOR, "echo");
  return host;
}
