import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { processesMentioning } from "../supervisor/support.ts";
import { KERNEL_LEVELS, lacking } from "./support.ts";

const homes: TestHome[] = [];
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

async function openAt(level: "namespace" | "landlock"): Promise<{ home: TestHome; host: Host }> {
  const home = await makeHome(
    `plugins: { enabled: true }\nisolation: { driver: ${level} }\npolicy: { defaults: { read: allow, write: allow, external: allow } }\n`,
  );
  homes.push(home);
  return { home, host: await home.open() };
}

const call = (host: Host, tool: string, input: unknown) => host.invoke(AGENT, { tool, input });

describe.each(KERNEL_LEVELS)("the Python example at %s", (level) => {
  const note = lacking(level, "python");
  it.skipIf(note !== "")(`installs as it is, says what it is, and speaks the protocol itself ${note}`, async () => {
    const { host } = await openAt(level);
    const answer = await host.plugins.install(OPERATOR, { source: repositoryPlugin("word-tally") });
    expect(answer.permissions.map(({ sentence }) => sentence)).toEqual([
      "may offer its tools to your agents, RUNNING AS A PYTHON PROGRAM of its own: contained by the kernel, without the JavaScript layer",
    ]);
    expect(answer.warnings).toContain(
      "This is a program of its own: its code was not looked at, and runs without the JavaScript layer.",
    );
    await host.plugins.approve(OPERATOR, "word-tally", {});
    await host.plugins.setConfig(OPERATOR, "word-tally", { ignore: ["the"] });
    await host.plugins.load(OPERATOR, "word-tally");
    expect((await host.plugins.info("word-tally")).isolation).toBe(level);
    expect(await call(host, "word-tally__count", { text: "the cat and the dog and the bird", top: 1 })).toMatchObject({
      success: true,
      result: { words: 5, top: [{ word: "and", count: 2 }] },
    });
    expect(await call(host, "word-tally__count", { text: 1 })).toMatchObject({ success: false, code: "invalid_input" });
    const totals = await Promise.all(["a", "b c"].map((text) => call(host, "word-tally__tally", { text })));
    expect(totals).toMatchObject([{ success: true }, { success: true }]);
    expect(await call(host, "word-tally__tally", { text: "d" })).toMatchObject({ result: { added: 1, total: 4 } });
  });
});

describe.each(KERNEL_LEVELS)("a Python program that does not do as it is told, at %s", (level) => {
  const note = lacking(level, "python");
  const manifest = JSON.stringify({
    manifest_version: 1,
    id: "stubborn",
    name: "stubborn",
    version: "1.0.0",
    description: "d",
    entry: "main.py",
    interpreter: "python",
    contributes: { tools: [{ name: "a", description: "d", effect: "read", input_schema: { type: "object" } }] },
    permissions: {},
    config_schema: { type: "object" },
  });
  async function prepare(main: string): Promise<Host> {
    const { home, host } = await openAt(level);
    const wire = await readFile(join(repositoryPlugin("word-tally"), "sallyport_v1.py"), "utf8");
    const source = await home.plugin("stubborn", { "plugin.json": manifest, "main.py": main, "sallyport_v1.py": wire });
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "stubborn", {});
    return host;
  }
  const load = (host: Host) => host.plugins.load(OPERATOR, "stubborn");

  it.skipIf(note !== "").each([
    ["says something else first", 'print("hello", flush=True)', "handshake_failed"],
    ["ends", "raise SystemExit(3)", "launch_failed"],
    [
      "forges the proof",
      'import sallyport_v1\nsallyport_v1.hmac.new = lambda *_: type("x", (), {"hexdigest": lambda self: "0" * 64})()\nsallyport_v1.serve({"a": print})',
      "handshake_failed",
    ],
    ["offers more", 'import sallyport_v1\nsallyport_v1.serve({"a": print, "b": print})', "undeclared_tool"],
    ["offers less", "import sallyport_v1\nsallyport_v1.serve({})", "missing_tool"],
    [
      "refuses to start",
      'import sallyport_v1\nsallyport_v1.serve({"a": print}, lambda config: False)',
      "initialize_failed",
    ],
  ])(`does not load when it %s ${note}`, async (_what, main, code) => {
    const host = await prepare(main);
    await expect(load(host)).rejects.toMatchObject({ code });
    expect((await host.plugins.info("stubborn")).state).toBe("failed");
    expect(processesMentioning((await host.plugins.info("stubborn")).digest.slice(7))).toEqual([]);
  });

  it.skipIf(note !== "")(`is gone after an unload that it ignores ${note}`, async () => {
    const host = await prepare(`
import signal, threading, time, sallyport_v1
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def forever():
    while True:
        time.sleep(0.01)
threading.Thread(target=forever).start()
while True:
    sallyport_v1.serve({"a": lambda arguments, call: 1})
`);
    await load(host);
    const digest = (await host.plugins.info("stubborn")).digest.slice(7);
    expect(processesMentioning(digest).length).toBeGreaterThan(0);
    await host.plugins.unload(OPERATOR, "stubborn");
    expect(processesMentioning(digest)).toEqual([]);
  });
});

describe("a program where no kernel level is", () => {
  it("is refused, also when the operator's floor is down", async () => {
    const home = await makeHome("plugins: { enabled: true }\nisolation: { minimum: runtime }\n");
    homes.push(home);
    const host = await home.open({ overrides: { levels: ["runtime"] } });
    await host.plugins.install(OPERATOR, { source: repositoryPlugin("word-tally") });
    await host.plugins.approve(OPERATOR, "word-tally", {});
    await expect(host.plugins.load(OPERATOR, "word-tally")).rejects.toMatchObject({ code: "isolation_unavailable" });
  });
});

describe("an interpreter that is not there", () => {
  it.skipIf(lacking("namespace", "python") !== "")("refuses the load, and says what to do", async () => {
    const home = await makeHome(
      "plugins: { enabled: true }\nprograms: { interpreters: { python: /nonexistent/python3 } }\n",
    );
    homes.push(home);
    const host = await home.open();
    await host.plugins.install(OPERATOR, { source: repositoryPlugin("word-tally") });
    await host.plugins.approve(OPERATOR, "word-tally", {});
    await expect(host.plugins.load(OPERATOR, "word-tally")).rejects.toMatchObject({
      code: "isolation_unavailable",
      detail: "/nonexistent/python3 is not there.",
      fix: expect.stringMatching(/programs\.interpreters\.python/),
    });
  });
});
