/**
 * `npm run fuzz [-- --messages N] [--seed N] [--path P] [--only NAME]`: the properties of packages/host/test/fuzz in their long
 * form. A message is one line that the host looked at. A property that fails prints its seed and path: give both to replay
 * it, with --only the file that it is in. Without a seed each property draws its own, and prints it.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    seed: { type: "string" },
    path: { type: "string" },
    only: { type: "string", default: "" },
  },
});
for (const name of ["messages", "seed"]) {
  if (values[name] !== undefined && !/^-?\d{1,12}$/.test(values[name])) {
    console.error(`fuzz: --${name} is a whole number`);
    process.exit(2);
  }
}

const root = fileURLToPath(new URL("..", import.meta.url));
await import("./setup.mjs");
const started = Date.now();
const done = spawnSync(
  process.execPath,
  [
    join(root, "node_modules", "vitest", "vitest.mjs"),
    "run",
    `packages/host/test/fuzz/${values.only}`,
    "--testTimeout=3600000",
    "--no-file-parallelism",
    "--disable-console-intercept",
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      SALLYPORT_FUZZ_MESSAGES: values.messages,
      ...(values.seed === undefined ? {} : { SALLYPORT_FUZZ_SEED: values.seed }),
      ...(values.path === undefined ? {} : { SALLYPORT_FUZZ_PATH: values.path }),
    },
  },
);
console.log(`fuzz: ${values.messages} messages were asked for; ${Math.round((Date.now() - started) / 1000)} s`);
process.exitCode = done.status ?? 1;
