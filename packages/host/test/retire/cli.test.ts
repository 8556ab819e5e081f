import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CommandWorld, openCommandWorld, runCommand } from "../support/command.ts";
import { makeHome, OPERATOR } from "../support/home.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;

let world: CommandWorld;
beforeEach(async () => {
  world = await openCommandWorld();
});
afterEach(() => world.close());

const said = (verb: string) => world.host.calls.filter((call) => call.verb === verb).map(({ args }) => args.slice(1));

describe("plugin revoke", () => {
  it("takes one id, digest, code digest or key, and says what it stopped", async () => {
    const marks = [
      [["--digest", DIGEST], { kind: "tree_digest", value: DIGEST }],
      [["--code-digest", DIGEST], { kind: "code_digest", value: DIGEST }],
      [["--publisher", "ed25519:abc"], { kind: "publisher_key", value: "ed25519:abc" }],
      [["nowhere", "--absent"], { kind: "id", value: "nowhere" }],
    ] as const;
    for (const [args, mark] of marks) {
      const { code, out } = await world.sallyport(["plugin", "revoke", ...args, "--reason", "bad"]);
      expect([code, out]).toEqual([0, expect.stringContaining("Stopped for good: weather 1.2.0.")]);
      expect(said("revokeMark").at(-1)).toEqual([mark, "bad"]);
    }
    await world.sallyport(["plugin", "revoke", "weather", "--reason", "bad"]);
    expect(said("revoke")).toEqual([["weather", "bad"]]);
    for (const args of [[], ["weather", "--digest", DIGEST], ["--digest", DIGEST, "--publisher", "k"]]) {
      expect((await world.json(["plugin", "revoke", ...args])).code).toBe(2);
    }
    const { answer } = await world.json(["plugin", "revoke", "nothing"]);
    expect(answer).toMatchObject({ code: "not_found", fix: expect.stringContaining("--absent") });
  });

  it("is told by a list", async () => {
    const { out } = await world.sallyport(["plugin", "revocations"]);
    expect(out).toMatch(/id\s+weather\s+weather\s+1970-01-01.*ada\s+bad/);
  });
});

describe("plugin approve", () => {
  it("hands data on only when told, and whose", async () => {
    await world.sallyport(["plugin", "approve", "weather", "--yes"]);
    await world.sallyport(["plugin", "approve", "weather", "--yes", "--keep-data"]);
    await world.sallyport(["plugin", "approve", "weather", "--yes", "--keep-data", "ed25519:abc"]);
    expect(said("approve").map(([, request]) => request)).toEqual([
      expect.not.objectContaining({ keepData: expect.anything() }),
      expect.objectContaining({ keepData: true }),
      expect.objectContaining({ keepData: "ed25519:abc" }),
    ]);
  });
});

describe("plugin verify --all", () => {
  it("names file, expected, actual and what to do, and exits with 5", async () => {
    const { code, out } = await world.sallyport(["plugin", "verify", "--all"]);
    expect(code).toBe(5);
    for (const part of ["weather 1.2.0", "a.js", "sha256:aa", "sha256:bb", "Install it."]) expect(out).toContain(part);
    expect(said("verifyAll")).toEqual([[expect.objectContaining({ full: true })]]);
    expect((await world.json(["plugin", "verify"])).code).toBe(2);
  });
});

describe("backup and restore", () => {
  it("never write secrets without a passphrase, and say to the owner what was meant", async () => {
    expect((await world.json(["backup", "x.backup", "--secrets"])).code).toBe(2);
    const file = join(world.home, "passphrase");
    await writeFile(file, "four words make one\n", { mode: 0o600 });
    const args = ["--secrets", "--store", "--backup-passphrase-file", file];
    expect((await world.sallyport(["backup", "/tmp/x.backup", ...args])).code).toBe(0);
    expect(said("backup")).toEqual([
      [{ file: "/tmp/x.backup", secrets: true, store: true, passphrase: "four words make one" }],
    ]);
  });

  it("bring a home back from the command line, asking for the operator's passphrase", async () => {
    const home = await makeHome();
    try {
      const file = join(home.path, "..", "home.backup");
      const host = await home.open();
      await host.operators.setPassphrase(undefined, "the operator's own");
      await host.backup(OPERATOR, { file });
      await host.plugins.revokeMark(OPERATOR, { kind: "id", value: "bad" });
      await host.close();
      const args = ["restore", file, "--home", home.path, "--json"];
      expect((await runCommand(args)).code).toBe(3);
      const { code, out } = await runCommand(args, { env: { SALLYPORT_PASSPHRASE: "the operator's own" } });
      expect([code, JSON.parse(out)]).toMatchObject([0, { success: true, result: { keptAudit: "home" } }]);
      const again = await home.open();
      expect(await again.plugins.revocations()).toMatchObject([{ value: "bad" }]);
      await again.close();
      expect((await runCommand(["restore", "--resume", "--home", home.path])).code).toBe(2);
      expect((await runCommand(["restore", "--home", home.path])).code).toBe(2);
    } finally {
      await home.remove();
    }
  });
});
