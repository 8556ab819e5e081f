/** Generates docs/errors.md from the table of error codes. With --check it only compares, and fails when the file is stale. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_CODES, exitCodeOf } from "../packages/host/dist/kernel/index.js";

const target = fileURLToPath(new URL("../docs/errors.md", import.meta.url));
const rows = Object.entries(ERROR_CODES).map(
  ([code, { category, http, meaning }]) => `| \`${code}\` | ${category} | ${http} | ${exitCodeOf(code)} | ${meaning} |`,
);
const text = `# Errors

Every error of every surface has one of these codes. Generated from \`packages/host/src/kernel/error-codes.ts\` by \`npm run docs\`.

| Code | Category | HTTP status | CLI exit code | Meaning |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;

if (!process.argv.includes("--check")) writeFileSync(target, text);
else if (readFileSync(target, "utf8") !== text) {
  console.error("docs/errors.md is stale; run: npm run docs");
  process.exitCode = 1;
}
