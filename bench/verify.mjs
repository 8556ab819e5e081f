/**
 * A thousand installed plugins: what a start of the host costs to know that each is what was approved, by what the file system says
 * and by reading every byte, against `sha256sum` over the same files.
 * Usage: npm run bench -- verify [--quick]
 */
import { execFileSync } from "node:child_process";
import { hash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createStoreVerifier } from "../packages/host/dist/host/verify-store.js";
import { systemClock } from "../packages/host/dist/kernel/index.js";
import { createContentStore } from "../packages/host/dist/registry/index.js";
import { openDatabase } from "../packages/host/dist/store/index.js";
import { show } from "./measure.mjs";

const QUICK = process.argv.includes("--quick");
const PLUGINS = QUICK ? 100 : 1_000;
const ROUNDS = QUICK ? 3 : 7;
const FILES = 6;
const FILE_BYTES = 16 * 1024;
const HOUR = 3_600_000;

const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
try {
  const store = await createContentStore(join(folder, "store"), { readableByAll: false });
  const records = [];
  for (let n = 0; n < PLUGINS; n++) {
    const { digest } = await store.put(Array.from({ length: FILES }, (_, at) => leaf(`file-${at}.mjs`)));
    records.push({ ref: { id: `plugin-${n}`, version: "1.0.0", digest } });
  }
  const db = await openDatabase({ path: join(folder, "state.db"), clock: systemClock });
  // Later than any file was written, so that what was read counts as settled.
  const clock = { ...systemClock, now: () => Date.now() + HOUR };
  const open = () => createStoreVerifier({ db, clock, sealKeys: undefined, store });
  const first = await open();
  const wrong = await first.pass(records, { full: false });
  if (wrong.problems.length > 0 || wrong.reread !== PLUGINS) throw new Error("the bench's own store is broken");

  const seen = { cached: [], full: [], peer: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const verifier = await open();
    seen.cached.push(await timed(async () => expectReread(await verifier.pass(records, { full: false }), 0)));
    seen.full.push(await timed(async () => expectReread(await verifier.pass(records, { full: true }), PLUGINS)));
    seen.peer.push(
      await timed(() =>
        execFileSync("sh", ["-c", "find . -type f -print0 | xargs -0 sha256sum >/dev/null"], {
          cwd: join(folder, "store"),
        }),
      ),
    );
  }
  await db.close();
  console.log(
    `  ${PLUGINS} plugins of ${FILES} files, ${(FILES * FILE_BYTES) / 1024} KiB each; the peer is sha256sum over the same files`,
  );
  show("every byte, sha256sum (peer)", seen.peer, "ms");
  show("every byte, plugin verify --all", seen.full, "ms", seen.peer);
  show("at a start, nothing touched", seen.cached, "ms", seen.peer);
} finally {
  await rm(folder, { recursive: true, force: true });
}

function leaf(path) {
  const bytes = randomBytes(FILE_BYTES);
  return { path, mode: 0o644, size: bytes.length, sha256: `sha256:${hash("sha256", bytes, "hex")}`, bytes };
}

function expectReread({ reread, problems }, count) {
  if (reread !== count || problems.length > 0) throw new Error(`read ${reread} trees instead of ${count}`);
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
