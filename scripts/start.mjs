/** `npm start`: sets up what a clean clone lacks, then runs the transcript and keeps serving. `-- --once` ends after it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

await import("./setup.mjs");
const main = fileURLToPath(new URL("../packages/host/dist/cli/main.js", import.meta.url));
const child = spawn(process.execPath, [main, "demo", ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.once("close", (code) => (process.exitCode = code ?? 1));
