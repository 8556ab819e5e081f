#!/usr/bin/env node
/** Copies the plugins that `sallyport doctor --attack` runs into dist/plugins, so that the npm package has them. */
import { cpSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const PLUGINS = ["echo", "hostile"];
const LEFT_OUT = ["node_modules", "test"];

rmSync(at("../dist/plugins"), { recursive: true, force: true });
for (const plugin of PLUGINS) {
  cpSync(at(`../../../plugins/${plugin}`), at(`../dist/plugins/${plugin}`), {
    recursive: true,
    filter: (path) => !LEFT_OUT.includes(basename(path)),
  });
}
