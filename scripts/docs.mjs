/**
 * Writes what is generated from code: the table of error codes and the published JSON Schemas. With --check it only
 * compares, and fails when a file is stale. Needs the build.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_CODES, exitCodeOf } from "../packages/host/dist/kernel/index.js";
import { manifestEditorSchema } from "../packages/host/dist/manifest/index.js";
import { protocolSchema } from "../packages/sdk/dist/protocol/v1/index.js";

function errorTable() {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { category, http, meaning }]) =>
      `| \`${code}\` | ${category} | ${http} | ${exitCodeOf(code)} | ${meaning} |`,
  );
  return `# Errors

Every error of every surface has one of these codes. Generated from \`packages/host/src/kernel/error-codes.ts\` by \`npm run docs\`.

| Code | Category | HTTP status | CLI exit code | Meaning |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}

const json = (value) => `${JSON.stringify(value, null, 2)}\n`;

const generated = {
  "docs/errors.md": errorTable(),
  "packages/sdk/schemas/manifest.schema.json": json(manifestEditorSchema()),
  "packages/sdk/schemas/protocol-v1.schema.json": json(protocolSchema()),
};

for (const [name, text] of Object.entries(generated)) {
  const file = fileURLToPath(new URL(`../${name}`, import.meta.url));
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) {
    console.error(`${name} is stale; run: npm run docs`);
    process.exitCode = 1;
  }
}
