import { existsSync, lstatSync, realpathSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { CONFIG_FILE } from "./config-file.ts";

/** `--home`, else `SALLYPORT_HOME`, else `~/.sallyport`; absolute. */
export function resolveHome(option: string | undefined, env: NodeJS.ProcessEnv): string {
  return resolve(option ?? (env["SALLYPORT_HOME"] || join(homedir(), ".sallyport")));
}

/**
 * The real path of a home that is safe to use.
 * @throws {SallyportError} `home_missing`; `home_unsafe` for another owner, modes wider than 0700, or a place in which
 * others can swap it: a folder that anybody may write, or the working tree of a git repository.
 */
export function openHome(home: string): string {
  if (!existsSync(home)) {
    throw new SallyportError("home_missing", "There is no home here yet.", {
      detail: `${home} does not exist.`,
      fix: "Run `sallyport init`.",
    });
  }
  const real = realpathSync(home);
  checkPlace(real);
  checkOwned(real);
  if (!existsSync(join(real, CONFIG_FILE))) {
    throw new SallyportError("home_missing", "This folder is not a home of Sallyport.", {
      detail: `${join(home, CONFIG_FILE)} does not exist.`,
      fix: "Run `sallyport init`.",
    });
  }
  return real;
}

/**
 * Makes a home: the folder 0700, `keys/`, and `config.yml` with the given text. Keeps a configuration that is there.
 * @returns the real path, and whether the configuration was written now.
 */
export async function createHome(home: string, config: string): Promise<{ path: string; created: boolean }> {
  checkPlace(join(realParent(home), basename(home)));
  await mkdir(home, { recursive: true, mode: 0o700 });
  const real = realpathSync(home);
  checkOwned(real);
  await mkdir(join(real, "keys"), { recursive: true, mode: 0o700 });
  try {
    const file = await open(join(real, CONFIG_FILE), "wx", 0o600);
    try {
      await file.writeFile(config);
      await file.sync();
    } finally {
      await file.close();
    }
    return { path: real, created: true };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return { path: real, created: false };
    throw error;
  }
}

/* The part of the parent that exists already, with links resolved. */
function realParent(home: string): string {
  const parent = dirname(home);
  if (existsSync(parent)) return realpathSync(parent);
  return join(realParent(parent), basename(parent));
}

function checkOwned(home: string): void {
  const stat = lstatSync(home);
  if (!stat.isDirectory()) throw unsafe(`${home} is not a folder.`, "Choose another home with --home DIR.");
  if (process.getuid && stat.uid !== process.getuid()) {
    throw unsafe(`${home} belongs to another user.`, "Use a home of your own with --home DIR.");
  }
  if ((stat.mode & 0o077) !== 0) throw unsafe(`Other users can reach ${home}.`, `Run: chmod 700 '${home}'`);
}

function checkPlace(home: string): void {
  for (let folder = home; ; folder = dirname(folder)) {
    if (existsSync(join(folder, ".git"))) {
      throw unsafe(
        `${home} lies in the working tree of the git repository ${folder}.`,
        "Keep it where no project file can reach it: choose another home with --home DIR.",
      );
    }
    if (folder !== home && existsSync(folder)) checkFolderAbove(folder, home);
    if (folder === dirname(folder)) return;
  }
}

function checkFolderAbove(folder: string, home: string): void {
  const { mode } = lstatSync(folder);
  const sticky = (mode & 0o1000) !== 0;
  if ((mode & 0o002) !== 0 && !sticky) {
    throw unsafe(
      `Anybody can write in ${folder}, and so swap ${home}.`,
      `Run: chmod o-w '${folder}', or use --home DIR.`,
    );
  }
}

function unsafe(detail: string, fix: string): SallyportError {
  return new SallyportError("home_unsafe", "This home is not safe to use.", { detail, fix });
}
