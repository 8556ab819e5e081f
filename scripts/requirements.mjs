/**
 * Lists every row of docs/requirements.md with the tests that name it (`it("… [S1-41]")`), and the rows that no test names.
 * Usage: npm run requirements [-- --json | --missing | --summary]
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

function rows() {
  const text = readFileSync(join(root, "docs/requirements.md"), "utf8");
  return [...text.matchAll(/^(S\d-\d+) (.+)$/gm)].map(([, id, statement]) => {
    /** @type {string[]} */
    const tests = [];
    return { id, statement, tests };
  });
}

function* testFiles(folder) {
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    if (item.name === "node_modules" || item.name === "dist") continue;
    const path = join(folder, item.name);
    if (item.isDirectory()) yield* testFiles(path);
    else if (item.name.endsWith(".test.ts")) yield path;
  }
}

/** Test titles hold row ids in square brackets: `it("… [S1-41]")`, `[S1-41, S1-42]`, also in the rows of `it.each`. */
function* namedTests(path) {
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (/^\s*(\/\/|\*|\/\*)/.test(line)) continue;
    for (const [, list] of line.matchAll(/\[(S\d-\d+(?:\s*,\s*S\d-\d+)*)\]/g)) {
      for (const id of list.split(","))
        yield { id: id.trim(), title: line.trim().slice(0, 200), file: relative(root, path) };
    }
  }
}

const all = rows();
const byId = new Map(all.map((row) => [row.id, row]));
const unknown = [];
for (const folder of ["packages", "plugins"]) {
  for (const file of testFiles(join(root, folder))) {
    for (const { id, title, file: name } of namedTests(file)) {
      const row = byId.get(id);
      if (row) row.tests.push(`${name}: ${title}`);
      else unknown.push(`${id} in ${name}`);
    }
  }
}

const missing = all.filter((row) => row.tests.length === 0);
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ rows: all, named: all.length - missing.length, total: all.length, unknown }, null, 2));
} else {
  if (!process.argv.includes("--missing") && !process.argv.includes("--summary")) {
    for (const row of all.filter((candidate) => candidate.tests.length > 0)) {
      console.log(`${row.id} ${row.statement}`);
      for (const test of row.tests) console.log(`    ${test}`);
    }
  }
  if (!process.argv.includes("--summary")) {
    console.log(`\nRows that no test names (${missing.length}):`);
    for (const row of missing) console.log(`${row.id} ${row.statement}`);
  }
  console.log(`\n${all.length - missing.length} of ${all.length} rows are named by a test.`);
}
if (unknown.length > 0) {
  console.error(`\nTests name rows that do not exist: ${unknown.join(", ")}`);
  process.exitCode = 1;
}
