import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { signAt } from "../../src/cli/sign-files.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, packPlugin } from "../../src/registry/index.ts";
import type { SigningKey } from "../../src/trust/index.ts";
import { manifestOf, type TestHome, toolLine } from "../support/home.ts";

/** Keeps what it is told, in all ways that a plugin can, and shows all of it. */
export const KEEPER = `export default { tools: {
  async keep({ text }, ctx) {
    await ctx.kv.set("note", text);
    await ctx.files.write("\${data}/note.txt", text);
    return {};
  },
  async show(_input, ctx) {
    const found = await ctx.files.stat("\${data}/note.txt");
    return { kv: (await ctx.kv.get("note")) ?? null, file: found === undefined ? null : await ctx.files.readText("\${data}/note.txt") };
  },
} };
`;

export interface Made {
  readonly id?: string;
  readonly version?: string;
  readonly code?: string;
  /** Where it lies; another folder is another place. */
  readonly folder: string;
}

const WISH = 'permissions: { filesystem: [{ path: "${data}", mode: rw, reason: "Keeps notes." }] }';

/** A plugin as a folder. */
export function folder(home: TestHome, { id = "notes", version = "1.0.0", code = KEEPER, folder: name }: Made) {
  const manifest = manifestOf(id, [toolLine("keep", "write"), toolLine("show")], WISH)
    .replace("version: 1.0.0", `version: ${version}`)
    .replace("properties: {} }", "properties: { color: { type: string } }, additionalProperties: false }");
  return home.plugin(name, { "plugin.yml": manifest, "plugin.js": code });
}

/** The same packed, and signed by these keys. */
export async function archive(home: TestHome, made: Made, keys: readonly SigningKey[] = []): Promise<string> {
  const source = await folder(home, made);
  const { archive: bytes } = await packPlugin(await openSource(source), { findManifest, readManifest });
  const file = join(home.path, "..", `${made.folder}.tgz`);
  await writeFile(file, bytes, { mode: 0o644 });
  for (const key of keys) await signAt(file, { key });
  return file;
}
