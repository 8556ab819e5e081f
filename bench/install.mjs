/**
 * Install of an archive, verified, bundled or packed, stored and pinned, against what `tar x` and `npm install` (offline, no scripts) take for
 * the same archive. Neither of them verifies a publisher, keeps what it unpacked read-only, or writes a record.
 * Usage: npm run bench -- install [--quick]
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHost } from "../packages/host/dist/index.js";
import { makeHome } from "./home.mjs";

const ROUNDS = process.argv.includes("--quick") ? 3 : 7;
const MIB = 2 ** 20;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A plugin whose code is small and whose data is not, in files of at most 5 MiB that do not compress. */
async function archiveOf(folder, mib) {
  const root = join(folder, `plugin-${mib}`);
  await mkdir(join(root, "data"), { recursive: true });
  await writeFile(
    join(root, "plugin.yml"),
    `manifest_version: 1\nid: big\nname: Big\nversion: 1.0.0\ndescription: Measured.\nlicense: MIT\nentry: plugin.js\ncontributes:\n  tools: [{ name: look, description: Looks., effect: read, input_schema: { type: object } }]\npermissions: {}\nconfig_schema: { type: object, properties: {} }\n`,
  );
  await writeFile(join(root, "plugin.js"), "export default { tools: { look: () => ({}) } };\n");
  await writeFile(join(root, "package.json"), '{"name":"big","version":"1.0.0"}\n');
  for (let part = 0; part * 5 < mib; part++) {
    await writeFile(join(root, "data", `${part}.bin`), randomBytes(Math.min(5, mib - part * 5) * MIB));
  }
  // With every file, as npm packs it: `plugin pack` leaves out what does not run.
  const file = join(folder, `big-${mib}.tgz`);
  execFileSync("tar", ["czf", file, "--transform", `s,^plugin-${mib},package,`, `plugin-${mib}`], { cwd: folder });
  return file;
}

async function ours(file) {
  const home = await makeHome();
  const host = await createHost({ home: home.path });
  try {
    return await timed(() => host.plugins.install({ name: "bench" }, { source: file }));
  } finally {
    await host.close();
    await home.remove();
  }
}

async function peer(command, args, folder) {
  const target = await mkdtemp(join(folder, "peer-"));
  await writeFile(join(target, "package.json"), '{"name":"peer","version":"1.0.0"}\n');
  return timed(async () => void execFileSync(command, args, { cwd: target, stdio: "ignore" }));
}

const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
try {
  for (const mib of [1, 50]) {
    const file = await archiveOf(folder, mib);
    const rows = { ours: [], tar: [], npm: [] };
    for (let round = 0; round < ROUNDS; round++) {
      rows.ours.push(await ours(file));
      rows.tar.push(await peer("tar", ["xzf", file], folder));
      rows.npm.push(
        await peer("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", file], folder),
      );
    }
    const [own, tar, npm] = [rows.ours, rows.tar, rows.npm].map(median);
    const spread = `${Math.min(...rows.ours).toFixed(0)}–${Math.max(...rows.ours).toFixed(0)}`;
    console.log(
      `${mib} MiB: verify + install ${own.toFixed(0)} ms (${spread}); npm install ${npm.toFixed(0)} ms (${(own / npm).toFixed(2)}×); tar x ${tar.toFixed(0)} ms (${(own / tar).toFixed(1)}×)`,
    );
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
