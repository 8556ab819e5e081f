import { readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { displayLine, LIMITS } from "../../kernel/index.ts";
import type { Manifest } from "../../manifest/index.ts";
import type { Session } from "../session.ts";
import { collect, collectCommas, type CommandContext, flag, text, usage, verb } from "./define.ts";

export function defineAuthoringCommands(plugin: Command, context: CommandContext): void {
  verb(plugin, context, "new <dir>", "write a new plugin that works as it is", "sallyport plugin new my-plugin", create)
    .option("--id <id>", "the plugin's id; the folder's name if absent")
    .option("--template <name>", "tool: asks for nothing; http: asks for one host", "tool");
  verb(
    plugin,
    context,
    "types [dir]",
    "write the TypeScript types of a plugin's tools from its manifest",
    "sallyport plugin types .",
    types,
  )
    .option("--out <file>", "where to; src/tool-types.ts in the plugin's folder if absent")
    .option("--stdout", "print them instead");
  verb(
    plugin,
    context,
    "dev [dir]",
    "run a plugin in a throw-away home, and again at each change; grants what it asks for",
    "sallyport plugin dev .",
    async (session, args, options) => (await import("./dev.ts")).develop(session, args, options),
  )
    .option("--scope <scope>", "fill in or narrow a scope, such as filesystem=/data:r; repeat for more", collect)
    .option(
      "--record [file]",
      "at the end, say what it used and was refused, and the least permissions for that; write the same to a new file",
    )
    .option("--runtime", "where no kernel sandbox works: run it with the JavaScript runtime's permissions alone");
  verb(
    plugin,
    context,
    "vet [dir]",
    "look at a plugin, a folder or an archive, without running or installing it",
    "sallyport plugin vet . --preset strict",
    async (session, args, options) => (await import("./vet.ts")).vet(session, context, args, options),
  )
    .option("--preset <preset>", "which findings fail: default (errors) or strict (warnings too)", "default")
    .option(
      "--known <id>",
      "an id that this plugin must not be mistaken for; repeat or split by commas",
      collectCommas,
    );
  verb(
    plugin,
    context,
    "pack [dir]",
    "write a plugin as one archive: manifest, bundle, source map, README and LICENSE",
    "sallyport plugin pack . --out weather-1.2.0.tgz",
    async (session, args, options) => (await import("./pack.ts")).pack(session, args, options),
  ).option("--out <file>", "where to; ID-VERSION.tgz in this folder if absent");
}

async function create(session: Session, [dir = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { scaffoldPlugin } = await import("../../authoring/index.ts");
  const folder = resolve(dir);
  const template = text(options, "template") ?? "tool";
  if (template !== "tool" && template !== "http")
    throw usage(`There is no template ${displayLine(template)}.`, "Use tool or http.");
  const { files } = await scaffoldPlugin({ dir: folder, id: text(options, "id") ?? basename(folder), template });
  session.print({ success: true, dir: folder, files }, () =>
    [
      `${session.style.good("✔")} Wrote ${files.length} files in ${displayLine(folder, 500)}\n`,
      ...files.map((file) => `  ${displayLine(file)}\n`),
      `Next: sallyport plugin dev ${displayLine(dir, 500)}\n`,
    ].join(""),
  );
}

async function types(session: Session, [dir = "."]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { generateToolTypes } = await import("../../authoring/index.ts");
  const folder = resolve(dir);
  const source = generateToolTypes(await manifestOf(folder));
  if (flag(options, "stdout")) return session.print({ success: true, types: source }, source);
  const file = resolve(text(options, "out") ?? join(folder, "src", "tool-types.ts"));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, source);
  session.print({ success: true, file }, `${session.style.good("✔")} Wrote ${displayLine(file, 500)}\n`);
}

async function manifestOf(folder: string): Promise<Manifest> {
  const { findManifest, readManifest } = await import("../../manifest/index.ts");
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    throw usage(`There is no folder ${displayLine(folder, 500)}.`, "Give the folder that holds the plugin's manifest.");
  }
  const name = findManifest(names);
  const bytes = readFileSync(join(folder, name));
  return readManifest({ name, bytes: bytes.subarray(0, LIMITS.manifestBytes + 1) }).manifest;
}
