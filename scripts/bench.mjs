/** `npm run bench [-- NAME…] [-- --quick]`: sets up, then runs the benchmarks in bench/ one after the other. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

await import("./setup.mjs");
const folder = fileURLToPath(new URL("../bench", import.meta.url));
const NOT_RUN = ["measure", "home", "processes"];
const all = readdirSync(folder).flatMap((name) =>
  name.endsWith(".mjs") && !NOT_RUN.includes(name.slice(0, -4)) ? [name.slice(0, -4)] : [],
);
const names = process.argv.slice(2).filter((arg) => !arg.startsWith("-"));
const flags = process.argv.slice(2).filter((arg) => arg.startsWith("-"));
for (const name of names.length > 0 ? names : all) {
  if (!all.includes(name)) {
    console.error(`bench: there is no "${name}"; there are: ${all.join(", ")}`);
    process.exit(2);
  }
  console.log(`\n== ${name}`);
  const done = spawnSync(process.execPath, [join(folder, `${name}.mjs`), ...flags], { stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
}
