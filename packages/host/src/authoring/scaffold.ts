import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { checkPluginId, readManifest } from "../manifest/index.ts";
import { sdkSpecifier } from "./sdk.ts";
import { TEMPLATES, type TemplateName } from "./templates.ts";
import { generateToolTypes } from "./tool-types.ts";

export interface ScaffoldOptions {
  /** Absolute path; made if absent. Must be empty. */
  readonly dir: string;
  /** The plugin's id: `name` or `publisher/name`. */
  readonly id: string;
  /** `tool` (default) asks for nothing; `http` asks for one host. */
  readonly template?: TemplateName;
  /** What package.json says for `@sallyport/sdk`: a version, or `file:…`. By default what fits this host. */
  readonly sdk?: string;
}

export interface Scaffold {
  /** Paths below `dir`, sorted. */
  readonly files: readonly string[];
}

/**
 * Writes a new plugin that installs as it is: manifest, source, types, test, package.json, README.
 * @throws {SallyportError} `conflict` when the folder is not empty, `manifest_invalid` for the id; nothing is written then.
 */
export async function scaffoldPlugin(options: ScaffoldOptions): Promise<Scaffold> {
  checkPluginId(options.id);
  const files = filesOf(options);
  await mkdir(options.dir, { recursive: true, mode: 0o755 });
  if ((await readdir(options.dir)).length > 0) {
    throw new SallyportError("conflict", "The folder is not empty.", {
      detail: "A new plugin never writes over what is there.",
      fix: "Name a new or an empty folder.",
    });
  }
  await write(options.dir, files);
  return { files: Object.keys(files).toSorted() };
}

function filesOf({ id, template = "tool", sdk = sdkSpecifier() }: ScaffoldOptions): Readonly<Record<string, string>> {
  const files = TEMPLATES[template]({
    id,
    title: titleOf(id),
    package: `sallyport-plugin-${id.replace("/", "-")}`,
    sdk,
  });
  const { manifest } = readManifest({ name: "plugin.yml", bytes: Buffer.from(files["plugin.yml"] ?? "") });
  return { ...files, "src/tool-types.ts": generateToolTypes(manifest) };
}

function titleOf(id: string): string {
  const words = id.slice(id.indexOf("/") + 1).split("-");
  return words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join(" ");
}

/** Nobody else may write to the files, whatever the umask: installing refuses them otherwise. */
async function write(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  const written: string[] = [];
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true, mode: 0o755 });
      await writeFile(join(dir, path), text, { flag: "wx", mode: 0o644 });
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(join(dir, path), { force: true });
    throw error;
  }
}
