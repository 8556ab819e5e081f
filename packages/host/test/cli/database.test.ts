import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CommandWorld, openCommandWorld } from "../support/command.ts";

let world: CommandWorld;
beforeEach(async () => {
  world = await openCommandWorld();
});
afterEach(() => world.close());

describe("database", () => {
  it("lists connections, what they lead to, and who was granted them", async () => {
    expect((await world.json(["database", "list"])).answer).toEqual([
      { name: "crm", kind: "sqlite", mode: "r", target: "/srv/crm.db", plugins: ["weather"] },
    ]);
    expect((await world.sallyport(["database", "ls"])).out).toMatch(/crm +sqlite +r +\/srv\/crm\.db +weather/);
  });

  it("looks at one, and exits with 1 when it is not opened for any plugin", async () => {
    const good = await world.sallyport(["database", "check", "crm"]);
    expect(good).toMatchObject({ code: 0, out: expect.stringContaining("no more than it says") });
    const { code, answer } = await world.json(["database", "check", "strong"]);
    expect([code, answer]).toMatchObject([
      1,
      { ok: false, problems: [{ problem: expect.stringContaining("superuser") }] },
    ]);
    expect((await world.sallyport(["database", "check", "strong"])).out).toMatch(
      /✘ strong.*\n.*\n.*superuser.*\n.*fix: NOSUPERUSER/,
    );
  });
});
