/**
 * Search in an index of 100,000 versions, as one of 20,000 plugins with five versions each and as one of 100,000 with one, against
 * `grep -i` over the same file. Budget: 50 ms a search. Also what the first search of an owner costs: reading the whole index.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIndex, writeIndex } from "../packages/host/dist/registry/index-format.js";
import { createSearchIndex } from "../packages/host/dist/registry/index.js";
import { show } from "./measure.mjs";

const QUICK = process.argv.includes("--quick");
const VERSIONS = QUICK ? 10_000 : 100_000;
const ROUNDS = QUICK ? 5 : 21;
const WORDS = [
  "weather",
  "mail",
  "calendar",
  "search",
  "image",
  "chart",
  "notes",
  "music",
  "travel",
  "stock",
  "invoice",
  "map",
];
const CATEGORIES = ["data_processing", "model_inference", "agent_skill", "integration", "visualization", "monitoring"];
const word = (n) => WORDS[n % WORDS.length];

function entry(plugin, version) {
  const digest = `sha256:${plugin.toString(16).padStart(8, "0").repeat(8)}`;
  const id = `${word(plugin)}-${word(plugin >> 4)}-x${plugin.toString(36).padStart(5, "0")}`;
  return {
    id,
    version: `1.${version}.0`,
    name: `${word(plugin)} ${word(plugin >> 3)}`,
    description: `Does ${word(plugin >> 2)} for ${word(plugin >> 5)}, and ${word(plugin >> 7)} in plain words number ${plugin}.`,
    author: `Author ${plugin % 997} <author@example.com>`,
    license: "MIT",
    categories: [CATEGORIES[plugin % CATEGORIES.length]],
    engine: ">=0.1",
    dependencies: {},
    permissions: [{ capability: "network", key: "network:api.example.com:443", risk: "high" }],
    file: `${id}-1.${version}.0.tgz`,
    length: 10_000,
    sha256: digest,
    integrity: `sha512-${"A".repeat(86)}==`,
    tree_digest: digest,
    manifest_digest: digest,
    signed_by: [`ed25519:${"A".repeat(43)}`],
    published_at: 1_760_000_000_000,
    yanked: null,
  };
}

const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
try {
  for (const each of [5, 1]) {
    const plugins = VERSIONS / each;
    const entries = Array.from({ length: plugins }, (_, plugin) => plugin)
      .map((plugin) => Array.from({ length: each }, (_unused, version) => entry(plugin, version)))
      .toSorted(([a], [b]) => (a.id < b.id ? -1 : 1))
      .flat();
    const bytes = writeIndex(entries);
    const file = join(folder, "index.jsonl");
    writeFileSync(file, bytes);
    console.log(`${VERSIONS} versions of ${plugins} plugins, ${(bytes.length / 2 ** 20).toFixed(0)} MiB; times in ms`);
    const first = performance.now();
    const index = await createSearchIndex(await parseIndex(bytes));
    console.log(`  first search of an owner: ${(performance.now() - first).toFixed(0)} ms, in small pieces`);
    const queries = {
      "one word, many hits": { text: "weather", limit: 50 },
      "three words": { text: "weather chart plain", limit: 50 },
      "a category": { text: "", category: "monitoring", limit: 50 },
      "nothing there": { text: "zzzzzz", limit: 50 },
      everything: { text: "", limit: 1000 },
    };
    const peer = [];
    const seen = Object.fromEntries(Object.keys(queries).map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, query] of Object.entries(queries)) {
        const start = performance.now();
        index.find(query);
        seen[name].push(performance.now() - start);
      }
      const start = performance.now();
      spawnSync("grep", ["-ic", "weather", file], { env: { LC_ALL: "C" } });
      peer.push(performance.now() - start);
    }
    for (const [name, times] of Object.entries(seen)) show(name, times, "ms", peer);
    show("peer: grep -i over the file", peer, "ms");
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
