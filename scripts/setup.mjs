/**
 * Everything that a clean clone needs before `npm start` or `npm test`: dependencies from the npm registry (no install
 * scripts), the build, and the dependencies of the example plugins. Does nothing that is already done.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const MINIMUM = [20, 20];

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

function run(command, args, cwd = root) {
  const done = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2] });
  if (done.error) fail(`cannot run ${command}: ${done.error.message}`);
  if (done.status !== 0) fail(`"${command} ${args.join(" ")}" failed in ${cwd}`);
}

/** Runs `npm ci` in a folder unless it was run for exactly this lock file. */
export function installDependencies(folder) {
  const lock = join(folder, "package-lock.json");
  const marker = join(folder, "node_modules", ".sallyport-setup");
  const wanted = createHash("sha256").update(readFileSync(lock)).digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return;
  console.error(
    `setup: installing the dependencies of ${folder === root ? "the workspace" : folder.slice(root.length)}`,
  );
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder);
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  writeFileSync(marker, wanted);
}

function build() {
  run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b"]);
  for (const script of ["build-runner.mjs", "build-helper.mjs", "copy-plugins.mjs"])
    run(process.execPath, [join(root, "packages", "host", "scripts", script)]);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
  fail(`Node ${process.versions.node} is too old; Sallyport needs ${MINIMUM.join(".")} or newer.`);
}
installDependencies(root);
for (const item of readdirSync(join(root, "plugins"), { withFileTypes: true })) {
  const folder = join(root, "plugins", item.name);
  if (item.isDirectory() && existsSync(join(folder, "package-lock.json"))) installDependencies(folder);
}
build();
