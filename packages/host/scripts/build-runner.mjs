#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Bundles the runner and what it shares with the SDK into the one file that starts in a plugin's process. */
export async function buildRunner(outfile = at("../dist/runner/runner.mjs")) {
  await build({
    entryPoints: [at("../src/runner/main.ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "esnext",
    tsconfigRaw: {},
    alias: {
      "@sallyport/sdk/runtime": at("../../sdk/src/runtime/index.ts"),
      "@sallyport/sdk/protocol/v1": at("../../sdk/src/protocol/v1/index.ts"),
    },
    absWorkingDir: at("../../.."),
    logLevel: "warning",
  });
  return outfile;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildRunner();
