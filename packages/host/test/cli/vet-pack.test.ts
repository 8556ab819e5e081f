import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCommand } from "../support/command.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sallyport-vet-"));
});
afterEach(() => rm(root, { recursive: true }));

const json = async (...args: string[]) => {
  const { code, out } = await runCommand([...args, "--json"]);
  return { code, answer: JSON.parse(out) };
};

function plugin(source: string): string {
  const dir = join(root, "plugin");
  mkdirSync(dir);
  const manifest =
    "id: demo\nname: Demo\nversion: 1.0.0\ndescription: A demo.\nentry: plugin.ts\ncontributes: {}\npermissions: {}\nconfig_schema: {}\n";
  writeFileSync(join(dir, "plugin.yml"), manifest, { mode: 0o644 });
  writeFileSync(join(dir, "plugin.ts"), source, { mode: 0o644 });
  return dir;
}

describe("plugin vet", () => {
  it("answers 0 for what is fine, 1 for what the preset finds, 2 for what is no plugin", async () => {
    const dir = plugin("export default { f: () => eval('1') };");
    expect(await json("plugin", "vet", dir)).toMatchObject({
      code: 0,
      answer: { success: true, preset: "default", counts: { error: 0, warning: 1, note: 0 } },
    });
    expect(await json("plugin", "vet", dir, "--preset", "strict")).toMatchObject({
      code: 1,
      answer: { success: false, findings: [{ rule: "imports", severity: "warning", file: "plugin.ts", line: 1 }] },
    });
    expect(await json("plugin", "vet", dir, "--preset", "lenient")).toMatchObject({
      code: 2,
      answer: { code: "usage" },
    });
    expect(await json("plugin", "vet", join(root, "nowhere"))).toMatchObject({
      code: 2,
      answer: { code: "not_found" },
    });
    expect(await json("plugin", "vet", dir, "--known", "maps,dem0")).toMatchObject({
      answer: { findings: expect.arrayContaining([expect.objectContaining({ rule: "look-alike" })]) },
    });
  });

  it("shows a person place, severity, rule and fix, escaped", async () => {
    const dir = plugin("import 'child_process'; export default {};");
    writeFileSync(join(dir, "n\u0301ot\u001b[2Jes.txt"), "");
    const { code, out } = await runCommand(["plugin", "vet", dir]);
    expect(code).toBe(1);
    expect(out).toContain("error");
    expect(out).toContain("[source]");
    expect(out).not.toContain("\u001b");
    expect(out).toContain("1 errors");
  });
});

describe("plugin pack", () => {
  it("writes one archive that vet and pack take again, and tells its digests", async () => {
    const dir = plugin("export default {};");
    const out = join(root, "demo.tgz");
    const packed = await json("plugin", "pack", dir, "--out", out);
    expect(packed).toMatchObject({
      code: 0,
      answer: { success: true, file: out, id: "demo", version: "1.0.0", bytes: readFileSync(out).length },
    });
    const again = await json("plugin", "pack", out, "--out", join(root, "again.tgz"));
    expect(again.answer.tree_digest).toBe(packed.answer.tree_digest);
    expect(again.answer.archive_digest).toBe(packed.answer.archive_digest);
    expect(await json("plugin", "vet", out, "--preset", "strict")).toMatchObject({ code: 0 });
    const told = await runCommand(["plugin", "pack", dir, "--out", out]);
    expect(told.out).toContain(packed.answer.tree_digest);
  });

  it("writes nothing when something is an error, or the place is no place", async () => {
    const secret = ["ghp_", "a1B2".repeat(9)].join("");
    const dir = plugin(`export default { key: "${secret}" };`);
    const out = join(root, "demo.tgz");
    const refused = await json("plugin", "pack", dir, "--out", out);
    expect(refused).toMatchObject({ code: 5, answer: { code: "source_unsafe" } });
    expect(JSON.stringify(refused)).not.toContain(secret);
    expect(existsSync(out)).toBe(false);
    writeFileSync(join(dir, "plugin.ts"), "export default {};");
    expect(await json("plugin", "pack", dir, "--out", join(root, "no", "demo.tgz"))).toMatchObject({ code: 2 });
    expect(readdirSync(root)).toEqual(["plugin"]);
  });
});
