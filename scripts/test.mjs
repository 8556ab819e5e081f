/** `npm test`: sets up what a clean clone lacks, builds, and runs the whole suite. Arguments go to vitest. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const { installDependencies } = await import("./setup.mjs");
// A real npm registry, which only tests need.
installDependencies(join(root, "packages", "host", "test", "npm-registry"));
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const done = spawnSync(process.execPath, [vitest, "run", ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exitCode = done.status ?? 1;
