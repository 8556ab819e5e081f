/**
 * Publishes an archive into a registry's folder, with a new index. Right before each of its changes of a file it copies the folder
 * below `snapshots`: what a kill -9 at that moment leaves. Right before the change number `fatal` (0: never) it dies of one. With a
 * uid it is that user from the first change on. Says how it ended, and how many changes there were.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";

const [folder, archive, keyFile, fatal, snapshots, uid] = process.argv.slice(2);
let changes = 0;
const counted =
  (change) =>
  (...args) => {
    if (++changes === Number(fatal)) process.kill(process.pid, "SIGKILL");
    if (snapshots) fs.cpSync(folder, path.join(snapshots, String(changes)), { recursive: true });
    return change(...args);
  };
const { open } = fs.promises;
for (const name of ["rename", "rm", "writeFile"]) fs.promises[name] = counted(fs.promises[name]);
fs.promises.open = async (file, flags, mode) => {
  const writes = flags === "wx";
  if (writes && uid && process.getuid() === 0) process.setuid(Number(uid));
  const handle = await (writes ? counted(open) : open)(file, flags, mode);
  if (writes) for (const name of ["writeFile", "sync"]) handle[name] = counted(handle[name].bind(handle));
  return handle;
};
syncBuiltinESMExports();

const { buildIndex, publishTo } = await import("../../dist/registry/index.js");
const { findManifest, readManifest } = await import("../../dist/manifest/index.js");
const { importSigningKey } = await import("../../dist/trust/index.js");
const ports = { findManifest, readManifest };
const now = Date.now();
const key = importSigningKey(fs.readFileSync(keyFile, "utf8"));
try {
  await publishTo(folder, archive, { ports, now, unsigned: false });
  await buildIndex(folder, { key, validMs: 86_400_000, now, ports });
  process.stdout.write(`published ${changes}`);
} catch (error) {
  process.stdout.write(`failed ${error.code}`);
}
