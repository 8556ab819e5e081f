import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ownerStatus } from "../../src/cli/index.ts";
import { type CommandWorld, openCommandWorld } from "../support/command.ts";
import { openProcessWorld } from "../support/process.ts";
import { openTerminal, type Terminal } from "../support/terminal.ts";
import { WEATHER } from "../support/fake-host.ts";

const PHRASE = "correct horse battery";

function terminal(args: readonly string[], env: NodeJS.ProcessEnv): Terminal {
  const ended = new AbortController();
  onTestFinished(() => ended.abort());
  return openTerminal(args, env, ended.signal);
}

// `script` of other systems takes other options.
describe.skipIf(process.platform !== "linux")("a person at a terminal", () => {
  let world: CommandWorld;
  let scratch: string;
  beforeEach(async () => {
    world = await openCommandWorld();
    scratch = await mkdtemp(join(tmpdir(), "sallyport-terminal-"));
  });
  afterEach(async () => {
    await world.close();
    await rm(scratch, { recursive: true });
  });

  const env = () => ({ PATH: process.env["PATH"], HOME: scratch });
  const sallyport = (...args: string[]) => terminal([...args, "--home", world.home], env());
  const approvals = () => world.host.calls.filter(({ verb }) => verb === "approve").length;

  it("sees what a plugin asks for, is asked, and says no: nothing is approved", async () => {
    const shown = sallyport("plugin", "approve", "weather");
    await shown.shows("may contact api.example.com over HTTPS, reading only");
    await shown.shows("Grant this?");
    shown.type("n");
    expect(await shown.exit).toBe(1);
    expect(shown.screen).toContain("Nothing was granted.");
    expect(approvals()).toBe(0);
  });

  it.each([
    ["Enter alone", "\r"],
    ["Ctrl-C", "\u0003"],
  ])("means no by %s", async (_key, typed) => {
    const shown = sallyport("plugin", "approve", "weather");
    await shown.shows("Grant this?");
    shown.type(typed);
    expect(await shown.exit).toBe(1);
    expect(approvals()).toBe(0);
  });

  it("says yes, gives the passphrase unseen, and the plugin is approved", async () => {
    await world.host.operators.setPassphrase(undefined, PHRASE);
    const shown = sallyport("plugin", "approve", "weather");
    await shown.shows("Grant this?");
    shown.type("y");
    await shown.shows("passphrase");
    shown.type(`${PHRASE}\r`);
    expect(await shown.exit).toBe(0);
    expect(shown.screen).toContain("Approved weather 1.2.0");
    expect(shown.screen).not.toContain(PHRASE);
    expect(approvals()).toBe(1);
  });

  it("is asked before a plugin is revoked for good", async () => {
    const shown = sallyport("plugin", "revoke", "weather");
    await shown.shows("for good?");
    shown.type("n");
    expect(await shown.exit).toBe(0);
    expect(world.host.calls.filter(({ verb }) => verb === "revoke")).toEqual([]);
  });

  it("types a secret's value unseen", async () => {
    const shown = sallyport("secret", "set", "API_KEY", "--for", "https://api.example.com");
    await shown.shows("Value of API_KEY");
    shown.type("k-12345\r");
    expect(await shown.exit).toBe(0);
    expect(shown.screen).not.toContain("k-12345");
    expect(world.host.calls.find(({ verb }) => verb === "secrets.set")?.args[2]).toBe("k-12345");
  });

  it("fills in a plugin's configuration, sensitive values unseen [S4-22] [S4-23]", async () => {
    const shown = sallyport("plugin", "config", "weather", "--edit");
    await shown.shows("Units");
    shown.type("\u0015imperial\r");
    await shown.shows("Token");
    await shown.shows("The plugin may use it.");
    shown.type("t-12345\r");
    expect(await shown.exit).toBe(0);
    expect(shown.screen).not.toContain("t-12345");
    expect(world.host.calls.find(({ verb }) => verb === "setConfig")?.args[2]).toEqual({
      units: "imperial",
      token: "t-12345",
    });
  });

  it("sees how far an install is that takes long", async () => {
    let release: (() => void) | undefined;
    const waiting = new Promise<void>((resolve) => (release = resolve));
    const { install } = world.host.plugins;
    const slow: typeof install = async (operator, request) => {
      request.onStep?.({ name: "bundle", index: 1, of: 2 });
      await waiting;
      return install(operator, { source: request.source });
    };
    Object.assign(world.host.plugins, { install: slow });
    const shown = sallyport("plugin", "install", scratch);
    await shown.shows(/\[█+░+\] 1\/2 bundle/);
    release?.();
    await shown.shows(`Installed ${WEATHER.id}`);
    expect(await shown.exit).toBe(0);
  });
});

describe.skipIf(process.platform !== "linux")("init at a terminal", () => {
  it("asks for the passphrase twice and shows neither", async () => {
    const world = await openProcessWorld();
    onTestFinished(() => world.close());
    const shown = terminal(["init", "--home", world.home], world.env);
    await shown.shows("Choose a passphrase");
    shown.type(`${PHRASE}\r`);
    await shown.shows("again");
    shown.type(`${PHRASE}\r`);
    await shown.shows("Turn plugins on?");
    shown.type("y");
    expect(await shown.exit).toBe(0);
    expect(shown.screen).not.toContain(PHRASE);
    expect(shown.screen).toMatch(/passphrase: +set/);
    expect(await ownerStatus(world.home, world.env)).toBeUndefined();
  });

  it("makes no home when the two differ", async () => {
    const world = await openProcessWorld();
    onTestFinished(() => world.close());
    const shown = terminal(["init", "--home", world.home], world.env);
    await shown.shows("Choose a passphrase");
    shown.type(`${PHRASE}\r`);
    await shown.shows("again");
    shown.type("another one\r");
    expect(await shown.exit).toBe(2);
    expect(await world.sallyport(["plugin", "list"])).toMatchObject({ code: 1, answer: { code: "home_missing" } });
  });
});
