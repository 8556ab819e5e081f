import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Attack } from "../../src/cli/attack/index.ts";
import { manifestOf, repositoryPlugin } from "../support/home.ts";

export interface PluginFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** A folder of plugins as `doctor --attack` wants it, with hostile plugins of a test: id → code of `attack`, given `target`. */
export async function pluginFolder(codes: Readonly<Record<string, string>>): Promise<PluginFolder> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-test-plugins-"));
  await cp(repositoryPlugin("echo"), join(path, "echo"), { recursive: true });
  for (const [id, code] of Object.entries(codes)) {
    const folder = join(path, "hostile", id);
    await mkdir(folder, { recursive: true });
    const tool =
      '{ name: attack, description: "Attacks.", effect: read, input_schema: { type: object }, timeout_ms: 5000 }';
    await writeFile(join(folder, "plugin.yml"), manifestOf(id, [tool]));
    await writeFile(
      join(folder, "plugin.js"),
      `const quiet = { evidence: [{ attempt: "none", outcome: "refused", error: "nothing was tried" }] };
export default { tools: { async attack({ target }) { ${code}; return quiet; } } };\n`,
    );
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** An attack by one of them. What it says is always that it was refused. */
export function attackBy(plugin: string, more: Partial<Attack> = {}): Attack {
  return {
    name: plugin,
    group: "test",
    plugin,
    tries: "lies about what it did",
    stage: "call",
    input: {},
    contained: { codes: [], evidence: "refused" },
    told: true,
    notPromised: [],
    demo: false,
    ...more,
  };
}
