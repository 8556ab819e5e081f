import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { watchFiles } from "../../src/cli/attack/watch.ts";

let folder: string;
let file: string;
let look: () => readonly string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sallyport-watch-"));
  mkdirSync(join(folder, "outside"));
  file = join(folder, "outside", "secret.txt");
  writeFileSync(file, "secret", { mode: 0o644 });
  writeFileSync(join(folder, "settings"), "a: 1");
  look = watchFiles({
    files: [file],
    folders: [join(folder, "outside")],
    settings: [join(folder, "settings")],
    prefix: folder,
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it.each([
  ["nothing", () => undefined, []],
  ["a read", () => void readFileSync(file), ["outside/secret.txt was read"]],
  ["a write", () => writeFileSync(file, "other"), ["outside/secret.txt was changed"]],
  ["a mode", () => chmodSync(file, 0o600), ["outside/secret.txt has another mode"]],
  ["a removal", () => rmSync(file), ["outside/secret.txt is gone"]],
  ["a new name", () => renameSync(file, `${file}-2`), ["outside/secret.txt is gone", "outside holds secret.txt-2"]],
  ["a new file", () => writeFileSync(join(folder, "outside", "x"), ""), ["outside holds x"]],
  ["a setting that is read", () => void readFileSync(join(folder, "settings")), []],
  ["a setting that is changed", () => writeFileSync(join(folder, "settings"), "a: 2"), ["settings was changed"]],
])("tells of %s, once, and puts it back", (_what, act, told) => {
  expect(look()).toEqual([]);
  act();
  expect(look()).toEqual(told);
  expect(look()).toEqual([]);
  expect(readFileSync(file, "utf8")).toBe("secret");
});
