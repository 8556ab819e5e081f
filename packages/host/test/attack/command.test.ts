import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { lackingRuntime } from "../hostile/levels.ts";
import { runCommand } from "../support/command.ts";
import { pluginFolder, type PluginFolder } from "./support.ts";

const answer = z.object({
  levels: z.array(
    z.object({
      level: z.string(),
      attacks: z.array(
        z.object({ name: z.string(), layer: z.string().nullable(), contained: z.boolean(), evidence: z.string() }),
      ),
      contained: z.number(),
      escaped: z.number(),
    }),
  ),
});

const lacking = await lackingRuntime();
const note = lacking === undefined ? "" : ` (not on this machine: ${lacking})`;

describe.skipIf(lacking !== undefined)(`sallyport doctor --attack${note}`, () => {
  let plugins: PluginFolder;
  let scratch: string;
  beforeAll(async () => {
    plugins = await pluginFolder({
      winner: 'return { evidence: [{ attempt: "read everything", outcome: "succeeded" }] }',
    });
    const contained = { codes: [], evidence: "refused" };
    const winner = { plugin: "winner", group: "test", tries: "says that it won", stage: "call", contained };
    await writeFile(join(plugins.path, "hostile", "attacks.json"), JSON.stringify([winner]));
    scratch = await mkdtemp(join(tmpdir(), "sallyport-attack-test-"));
    await chmod(scratch, 0o755);
    vi.stubEnv("TMPDIR", scratch);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await plugins?.remove();
    await rm(scratch, { recursive: true, force: true });
  });

  const attack = async (...args: string[]) => {
    const { code, out } = await runCommand([
      "doctor",
      "--attack",
      "--json",
      "--home",
      join(scratch, "no-home"),
      ...args,
    ]);
    const json: unknown = JSON.parse(out);
    return { exitCode: code, json };
  };

  it("answers with what each attack came to, level by level, and leaves nothing behind", async () => {
    const { exitCode, json } = await attack("--level", "runtime", "--only", "package/symbolic_link,undeclared-tool");
    const [level, ...more] = answer.parse(json).levels;
    expect(more).toEqual([]);
    expect(level).toMatchObject({ level: "runtime", contained: 3, escaped: 0 });
    expect(level?.attacks.map(({ name, layer }) => [name, layer])).toEqual([
      ["undeclared-tool", "gate"],
      ["package/symbolic_link", "gate"],
      ["afterwards", "supervisor"],
    ]);
    expect(exitCode).toBe(0);
    expect(existsSync(join(scratch, "no-home"))).toBe(false);
    expect(await readdir(scratch)).toEqual([]);
  });

  it("ends with 5 when something escaped", async () => {
    const { exitCode, json } = await attack("--level", "runtime", "--plugins", plugins.path, "--only", "winner");
    const [level] = answer.parse(json).levels;
    expect(level).toMatchObject({ contained: 1, escaped: 1 });
    expect(level?.attacks[0]).toMatchObject({
      name: "winner",
      contained: false,
      layer: null,
      evidence: "it says that it managed: read everything",
    });
    expect(exitCode).toBe(5);
  });

  it.each([
    [["--only", "nothing-like-it"], 2],
    [["--level", "moon"], 2],
    [["--level", "in-process"], 3],
    [["--plugins", "/nonexistent"], 2],
  ])("refuses %j with %i", async (args, code) => {
    expect((await attack(...args)).exitCode).toBe(code);
  });

  it("takes its options with --attack only", async () => {
    expect((await runCommand(["doctor", "--only", "files"])).code).toBe(2);
  });
});
