import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { starterConfig } from "../../config/index.ts";
import { createHome } from "../../home/index.ts";
import { storeRoot } from "../../isolation/index.ts";
import type { IsolationLevel } from "../../kernel/index.ts";
import { watchFiles } from "./watch.ts";

/** The throw-away world of one setting: a home of its own and planted things that only a theft or a break would touch. */
export interface Grounds {
  readonly folder: string;
  readonly home: string;
  /** In every planted text; nobody can guess it. */
  readonly marker: string;
  /** A folder that any user may read, so that no file mode stands in for a wall. */
  readonly outside: string;
  readonly file: string;
  readonly json: string;
  /** What an operator grants to one plugin; holds links and a pipe that lead out. */
  readonly granted: string;
  /** Host's environment, whole. */
  readonly environment: Readonly<Record<string, string>>;
  /** Planted files that were touched since the last look, in words. */
  touched(): readonly string[];
  remove(): Promise<void>;
}

export async function plantGrounds(level: IsolationLevel): Promise<Grounds> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-attack-"));
  await chmod(folder, 0o755);
  const marker = `canary-${randomBytes(16).toString("hex")}`;
  const config = starterConfig({ pluginsEnabled: true });
  const floor = level === "runtime" ? config.replace("minimum: kernel", "minimum: runtime") : config;
  const { path: home } = await createHome(join(folder, "home"), floor);

  const outside = join(folder, "outside");
  const file = join(outside, "secret.txt");
  const json = join(outside, "secret.json");
  const granted = join(folder, "granted");
  await Promise.all([outside, granted, `${granted}-beside`].map((path) => mkdir(path, { mode: 0o755 })));
  // As if everything here were open to everyone: what keeps a plugin out must be a wall.
  await Promise.all([outside, granted].map((path) => chmod(path, 0o777)));
  await writeFile(file, `${marker} file\n`, { mode: 0o666 });
  await chmod(file, 0o666);
  await writeFile(json, JSON.stringify({ secret: marker }), { mode: 0o666 });
  await chmod(json, 0o666);
  await writeFile(join(`${granted}-beside`, "secret.txt"), `${marker} beside\n`);
  await writeFile(join(granted, "plain"), "nothing of worth\n");
  await symlink(file, join(granted, "link"));
  await symlink(outside, join(granted, "folder-link"));
  await promisify(execFile)("mkfifo", [join(granted, "pipe")]).catch(() => undefined);
  await mkdir(join(home, "data", "echo"), { recursive: true, mode: 0o700 });
  await writeFile(join(home, "data", "echo", "secret.txt"), `${marker} data\n`, { mode: 0o600 });

  const touched = watchFiles({
    files: [file, json, join(`${granted}-beside`, "secret.txt"), join(home, "data", "echo", "secret.txt")],
    folders: [outside, granted],
    settings: [join(home, "config.yml")],
    prefix: folder,
  });

  return {
    folder,
    home,
    marker,
    outside,
    file,
    json,
    granted,
    environment: {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      SALLYPORT_CANARY: `${marker} environment`,
      PLUGIN_SECRET_KEY: `${marker}-secret-key`,
    },
    touched,
    async remove() {
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(home, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
