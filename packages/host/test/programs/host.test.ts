import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
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
