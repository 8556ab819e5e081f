import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { readAttacks } from "../../src/cli/attack/index.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const packed = z.tuple([z.object({ files: z.array(z.object({ path: z.string(), mode: z.number() })) })]);
const manifest = z.object({
  bin: z.object({ sallyport: z.string() }),
  exports: z.record(z.string(), z.record(z.string(), z.string())),
});

/** What npm would publish; the build is there. */
let files: ReadonlyMap<string, number>;
beforeAll(async () => {
  const { stdout } = await promisify(execFile)("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    maxBuffer: 16 * 1024 * 1024,
  });
  const [{ files: found }] = packed.parse(JSON.parse(stdout));
  files = new Map(found.map(({ path, mode }) => [path, mode]));
});

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const has = (path: string): boolean => files.has(path) || [...files.keys()].some((file) => file.startsWith(`${path}/`));

describe("the npm package", () => {
  it("holds what it says that it offers", () => {
    const { bin, exports } = manifest.parse(JSON.parse(read("package.json")));
    const offered = [bin.sallyport, ...Object.values(exports).flatMap((entry) => Object.values(entry))];
    expect(offered.filter((path) => !files.has(normalize(path)))).toEqual([]);
  });

  it("holds every migration, the runner, and the helpers for machines without a compiler, to be started", () => {
    const migrations = readdirSync(join(root, "migrations")).map((name) => `migrations/${name}`);
    expect(migrations.length).toBeGreaterThan(0);
    const helpers = ["x64", "arm64"].flatMap((arch) =>
      ["jail", "forward"].map((name) => `native/prebuilt/linux-${arch}/${name}`),
    );
    const needed = [...migrations, "dist/runner/runner.mjs", ...helpers, ...helpers.map((path) => `${path}.sha256`)];
    expect(needed.filter((path) => !files.has(path))).toEqual([]);
    expect(helpers.filter((path) => ((files.get(path) ?? 0) & 0o111) !== 0o111)).toEqual([]);
  });

  it("holds the plugins that `doctor --attack` runs", async () => {
    const attacks = await readAttacks(join(root, "dist/plugins/hostile"));
    const plugins = new Set(attacks.map(({ plugin }) => (plugin === "echo" ? "echo" : `hostile/${plugin}`)));
    const needed = [...plugins].map((plugin) => `dist/plugins/${plugin}/plugin.yml`);
    expect(needed.length).toBeGreaterThan(20);
    expect([...needed, "dist/plugins/hostile/attacks.json"].filter((path) => !files.has(path))).toEqual([]);
  });

  it("holds every file that its code looks for beside itself", () => {
    const missing = [...files.keys()]
      .filter((path) => path.endsWith(".js") && !path.startsWith("dist/plugins/"))
      .flatMap((path) =>
        [...read(path).matchAll(/new URL\("([^"]+)", import\.meta\.url\)/g)].map(([, target = ""]) => ({
          path,
          target: normalize(join(dirname(path), target)).replace(/\/$/, ""),
        })),
      )
      // The demo's plugins have dependencies of their own; it says that it needs the repository.
      .filter(({ path, target }) => !has(target) && !(path === "dist/cli/demo/run.js" && target === "../../plugins"));
    expect(missing).toEqual([]);
  });

  it("holds no source, test or leftover", () => {
    expect([...files.keys()].filter((path) => /(?:^|\/)(?:test|node_modules)\/|tsbuildinfo$/.test(path))).toEqual([]);
    expect([...files.keys()].filter((path) => path.startsWith("src/"))).toEqual([]);
  });
});
