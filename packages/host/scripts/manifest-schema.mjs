/* Writes packages/sdk/schemas/manifest.schema.json from the shape that the host reads manifests with. Run: node packages/host/scripts/manifest-schema.mjs */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bundle = here("../.manifest-schema.mjs"); // beside package.json, so that its imports resolve

try {
  await build({
    entryPoints: [here("../src/manifest/index.ts")],
    outfile: bundle,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  const { manifestEditorSchema } = await import(bundle);
  await mkdir(here("../../sdk/schemas"), { recursive: true });
  await writeFile(
    here("../../sdk/schemas/manifest.schema.json"),
    `${JSON.stringify(manifestEditorSchema(), null, 2)}\n`,
  );
} finally {
  await rm(bundle, { force: true });
}
