import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed, onTestFinished } from "vitest";
import { type Owner, serveOwner } from "../../src/cli/index.ts";
import type { Host } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { openTerminal, type Terminal } from "../support/terminal.ts";

const PHRASE = "correct horse battery";
const KEYS = "[s] skip";

// `script` of other systems takes other options.
describe.skipIf(process.platform !== "linux")("approval watch", () => {
  let home: TestHome;
  let host: Host;
  let owner: Owner;
  let scratch = "";
  beforeAll(async () => {
    home = await makeHome();
    scratch = await mkdtemp(join(tmpdir(), "sallyport-watch-"));
    host = await home.open();
    await installed(host, repositoryPlugin("echo"));
    await host.operators.setPassphrase(undefined, PHRASE);
    owner = await serveOwner(host, {
      home: home.path,
      env: {},
      version: "0.0.0-test",
      background: false,
      idleMs: 60_000,
      onDefect: () => undefined,
    });
  });
  afterAll(async () => {
    await owner.stop();
    await home.remove();
    await rm(scratch, { recursive: true });
  });

  const env = () => ({ PATH: process.env["PATH"], HOME: scratch });
  const watch = (): Terminal => {
    const ended = new AbortController();
    onTestFinished(() => ended.abort());
    const shown = openTerminal(["approval", "watch", "--home", home.path], env(), ended.signal);
    onTestFailed(() => console.log(shown.screen));
    return shown;
  };
  const note = async (text: string) => {
    const answer = await host.invoke(AGENT, { tool: "echo__note", input: { text } });
    return answer.success ? "ran" : (answer.approval?.id ?? answer.code);
  };
  const stateOf = async (id: string) => (await host.approvals.list()).find((one) => one.id === id)?.state;

  it("takes one key for each request, asks for the passphrase once, and tells what came of it", async () => {
    const shown = watch();
    await shown.shows("Nothing waits.");
    const once = await note("once \u202e");
    await shown.shows('Agent "local" wants to call echo__note');
    await shown.shows("\\u{202e}");
    await shown.shows(KEYS);
    shown.type("d");
    await shown.shows("input digest: sha256:");
    await shown.shows("input:");
    shown.type("y");
    await shown.shows("passphrase");
    shown.type(`${PHRASE}\r`);
    await shown.shows("✔ approved");
    await shown.shows("Nothing waits.");
    expect(await stateOf(once)).toBe("approved");
    expect(await note("once \u202e")).toBe("ran");

    // Not asked for the passphrase again.
    const limited = await note("many 1");
    await shown.shows(KEYS);
    shown.type("a");
    for (const [question, answer] of [
      ["may vary", "text=many*"],
      ["hosts", ""],
      ["folders", ""],
      ["How many", "2"],
      ["Until", "2h"],
    ] as const) {
      await shown.shows(question);
      shown.type(`${answer}\r`);
    }
    await shown.shows("✔ approved");
    expect((await host.approvals.list({ standing: true })).map(({ id }) => id)).toEqual([limited]);
    expect([await note("many 1"), await note("many 2")]).toEqual(["ran", "ran"]);

    const refused = await note("refused");
    await shown.shows(KEYS);
    shown.type("n");
    await shown.shows("✔ denied");
    expect(await stateOf(refused)).toBe("denied");
    const skipped = await note("skipped");
    await shown.shows(KEYS);
    shown.type("s");
    await shown.shows("Nothing waits.");
    expect(await stateOf(skipped)).toBe("pending");
    shown.type("q");
    expect(await shown.exit).toBe(0);
    expect(shown.screen).not.toContain(PHRASE);
    await host.approvals.deny(OPERATOR, skipped);
  });

  it("with two who watch has one who answers, and the other sees who; a late key answers nothing", async () => {
    const [one, two] = [watch(), watch()];
    for (const shown of [one, two]) await shown.shows("Nothing waits.");
    const first = await note("first of two");
    const second = await note("second of two");
    for (const shown of [one, two]) await shown.shows(KEYS);
    one.type("n");
    await one.shows("✔ denied");
    await two.shows(/denied by [^\n]+, elsewhere\./);
    // Meant for the first one.
    two.type("n");
    await two.shows("second of two");
    await two.shows(KEYS);
    expect([await stateOf(first), await stateOf(second)]).toEqual(["denied", "pending"]);
    await one.shows("second of two");
    await host.approvals.deny({ name: "bob" }, second);
    for (const shown of [one, two]) {
      await shown.shows("denied by bob, elsewhere.");
      shown.type("\u0003");
      expect(await shown.exit).toBe(0);
    }
  });

  it("without a terminal it is one JSON document a line", async () => {
    const ended = new AbortController();
    onTestFinished(() => ended.abort());
    const shown = openTerminal(["approval", "watch", "--json", "--home", home.path], env(), ended.signal);
    const id = await note("as json");
    await shown.shows(`{"change":"waiting","approval":{"id":"${id}"`);
    await host.approvals.deny(OPERATOR, id);
    await shown.shows('{"change":"over"');
    expect(
      shown.screen
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toHaveLength(2);
  });
});
