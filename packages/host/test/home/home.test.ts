import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHome, openHome, resolveHome } from "../../src/home/index.ts";
import { prepareSocketFolder, socketPath } from "../../src/cli/socket-path.ts";

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "sallyport-home-")));
});
afterEach(() => rm(root, { recursive: true }));

const unsafe = { code: "home_unsafe", fix: expect.any(String) };
const attempt = (open: () => unknown): unknown => {
  try {
    return open();
  } catch (error) {
    return error;
  }
};

describe("a home", () => {
  it("is --home, else SALLYPORT_HOME, else ~/.sallyport", () => {
    expect(resolveHome("/a", { SALLYPORT_HOME: "/b" })).toBe("/a");
    expect(resolveHome(undefined, { SALLYPORT_HOME: "/b" })).toBe("/b");
    expect(resolveHome(undefined, { SALLYPORT_HOME: "" })).toBe(join(homedir(), ".sallyport"));
  });

  it("is made private, with keys and the operator's config, which is kept when it is there", async () => {
    const home = join(root, "deep", "home");
    expect(await createHome(home, "a: 1\n")).toEqual({ path: home, created: true });
    for (const folder of [home, join(home, "keys")]) expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(home, "config.yml"))).mode & 0o777).toBe(0o600);
    expect(await createHome(home, "b: 2\n")).toEqual({ path: home, created: false });
    expect(await readFile(join(home, "config.yml"), "utf8")).toBe("a: 1\n");
    expect(openHome(home)).toBe(home);
  });

  it("is opened by its real path", async () => {
    await createHome(join(root, "home"), "");
    await symlink(join(root, "home"), join(root, "link"));
    expect(openHome(join(root, "link"))).toBe(join(root, "home"));
  });

  it("is missing when the folder or its config.yml is", async () => {
    await mkdir(join(root, "empty"), { mode: 0o700 });
    for (const home of [join(root, "nothing"), join(root, "empty")]) {
      expect(attempt(() => openHome(home))).toMatchObject({ code: "home_missing", fix: "Run `sallyport init`." });
    }
  });

  it.each([0o750, 0o705, 0o701, 0o770])("is refused with mode %o", async (mode) => {
    const { path } = await createHome(join(root, "home"), "");
    await chmod(path, mode);
    expect(attempt(() => openHome(path))).toMatchObject({ ...unsafe, fix: expect.stringContaining("chmod 700") });
    await expect(createHome(path, "")).rejects.toMatchObject(unsafe);
  });

  it.runIf(process.getuid?.() === 0)("is refused when it belongs to another user", async () => {
    const { path } = await createHome(join(root, "home"), "");
    await chown(path, 65534, 65534);
    expect(attempt(() => openHome(path))).toMatchObject(unsafe);
  });

  it("is refused inside the working tree of a repository, also through a link and as a worktree", async () => {
    await mkdir(join(root, "repo", ".git"), { recursive: true });
    await mkdir(join(root, "tree"));
    await writeFile(join(root, "tree", ".git"), "gitdir: elsewhere");
    await symlink(join(root, "repo"), join(root, "link"));
    for (const parent of ["repo", "tree", "link"]) {
      await expect(createHome(join(root, parent, "a", "home"), "")).rejects.toMatchObject(unsafe);
    }
    const { path } = await createHome(join(root, "home"), "");
    await mkdir(join(root, ".git"));
    expect(attempt(() => openHome(path))).toMatchObject({ ...unsafe, detail: expect.stringContaining("repository") });
  });

  it("is refused below a folder in which anybody may swap it, and accepted below a sticky one", async () => {
    await mkdir(join(root, "open"));
    await chmod(join(root, "open"), 0o777);
    await expect(createHome(join(root, "open", "home"), "")).rejects.toMatchObject(unsafe);
    await chmod(join(root, "open"), 0o1777);
    await createHome(join(root, "open", "home"), "");
  });
});

describe("the socket of a home", () => {
  it("lies in the private runtime folder under a name of the home's own", async () => {
    await mkdir(join(root, "run"), { mode: 0o700 });
    const env = { XDG_RUNTIME_DIR: join(root, "run") };
    const path = socketPath("/home/a", env);
    expect(path).toMatch(new RegExp(`^${root}/run/sallyport/[0-9a-f]{32}\\.sock$`));
    expect(socketPath("/home/b", env)).not.toBe(path);
    prepareSocketFolder("/home/a", path);
    expect((await stat(join(root, "run", "sallyport"))).mode & 0o777).toBe(0o700);
    await chmod(join(root, "run", "sallyport"), 0o755);
    expect(attempt(() => prepareSocketFolder("/home/a", path))).toMatchObject(unsafe);
  });

  it("lies in the home where there is no runtime folder, or one that others can reach", async () => {
    await mkdir(join(root, "run"), { mode: 0o755 });
    for (const runtime of [undefined, "", join(root, "run"), join(root, "nothing")]) {
      expect(socketPath("/home/a", { XDG_RUNTIME_DIR: runtime })).toBe("/home/a/s");
    }
  });

  it("refuses a path that the system would cut: 103 bytes are the most", () => {
    expect(socketPath(`/${"x".repeat(100)}`, {})).toHaveLength(103);
    expect(attempt(() => socketPath(`/${"x".repeat(101)}`, {}))).toMatchObject(unsafe);
    expect(attempt(() => socketPath(`/${"é".repeat(51)}`, {}))).toMatchObject(unsafe);
  });
});
