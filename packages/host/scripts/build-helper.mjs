#!/usr/bin/env node
/**
 * Builds the helpers in native/ (jail.c puts walls around a plugin's process, forward.c is a program's way to the proxy)
 * into dist/native/ if a C compiler is here; otherwise the prebuilt ones serve. `--prebuilt` builds the committed ones, for both architectures (Debian:
 * `apt install gcc gcc-aarch64-linux-gnu`).
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const HELPERS = ["jail", "forward"];
const CROSS = { x64: "x86_64-linux-gnu-gcc", arm64: "aarch64-linux-gnu-gcc" };
/** Freestanding and static: no libc, no loader, nothing that the machine's packages could change. */
const FLAGS =
  "-std=c11 -Os -Wall -Wextra -Werror -ffreestanding -nostdlib -static -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -Wl,--build-id=none -Wl,-z,noexecstack -s";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** @returns whether the compiler made all of them: true, what it said, or null when there is no such compiler. */
function compile(compiler, arch, folder) {
  for (const name of HELPERS) {
    const done = compileOne(compiler, arch, folder, name);
    if (done !== true) return done;
  }
  return true;
}

function compileOne(compiler, arch, folder, name) {
  const source = at(`../native/${name}.c`);
  const flags = FLAGS.split(" ").filter((flag) => arch === "x64" || !flag.startsWith("-fcf-protection"));
  const binary = join(folder, name);
  mkdirSync(folder, { recursive: true });
  const define = `-DSOURCE_SHA256="${sha256(readFileSync(source))}"`;
  const done = spawnSync(compiler, [...flags, define, "-o", binary, source], { encoding: "utf8" });
  if (done.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    return done.error === undefined ? done.stderr : null;
  }
  chmodSync(binary, 0o755);
  writeFileSync(`${binary}.sha256`, `${sha256(readFileSync(binary))}\n`);
  return true;
}

function buildPrebuilt() {
  for (const [arch, compiler] of Object.entries(CROSS)) {
    const done = compile(compiler, arch, at(`../native/prebuilt/linux-${arch}`));
    if (done !== true) throw new Error(`${compiler}: ${done ?? "is not installed"}`);
  }
}

function buildForThisMachine() {
  if (process.platform !== "linux" || !Object.hasOwn(CROSS, process.arch)) return;
  for (const compiler of ["cc", "gcc", "clang"]) {
    const done = compile(compiler, process.arch, at(`../dist/native/linux-${process.arch}`));
    if (done === true) return;
    if (done !== null) process.stderr.write(`build-helper: ${compiler} failed, the prebuilt helpers are used\n${done}`);
  }
}

if (process.argv.includes("--prebuilt")) buildPrebuilt();
else buildForThisMachine();
