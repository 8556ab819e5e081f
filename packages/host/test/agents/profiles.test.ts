import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/index.ts";
import { compileProfiles } from "../../src/host/agent-profiles.ts";
import type { StoredAgent } from "../../src/store/index.ts";

const profiles = (agents: string, stored: Record<string, unknown> = {}, enabled: readonly string[] = []) =>
  compileProfiles(
    parseConfig(`agents:\n${agents.replace(/^/gm, "  ")}`).agents,
    Object.entries(stored).map(([name, profile]): StoredAgent => ({ name, profile, setBy: "ada", setAt: 1 })),
    enabled,
  );

const EMPTY = "known_only: false";

describe("a profile", () => {
  it("names tools one by one or by their beginning; what it denies is denied whatever else it says", () => {
    const { hides } = profiles(`profiles:
  bot: { tools: ["mail__*", notes__read], deny: [mail__purge, "mail__send*"] }`);
    expect(hides("bot", "mail__list", "read")).toBeUndefined();
    expect(hides("bot", "notes__read", "read")).toBeUndefined();
    expect(hides("bot", "notes__readall", "read")).toMatchObject({ decision: "deny", rule: "agent bot: tools" });
    expect(hides("bot", "mail__purge", "read")).toMatchObject({ rule: "agent bot: deny" });
    expect(hides("bot", "mail__send_now", "read")).toMatchObject({ rule: "agent bot: deny" });
    expect(hides("other", "files__read", "read")).toBeUndefined();
  });

  it("with an empty list of tools has none", () => {
    expect(profiles("profiles:\n  bot: { tools: [] }").hides("bot", "a__b", "read")).toMatchObject({
      rule: "agent bot: tools",
    });
  });

  it("stops at its strongest effect", () => {
    const { hides } = profiles(`enabled_tools: ["*"]
profiles:
  bot: { strongest_effect: write }`);
    expect(hides("bot", "a__b", "write")).toBeUndefined();
    expect(hides("bot", "a__b", "external")).toMatchObject({ rule: "agent bot: strongest_effect" });
  });

  it("lets a tool above read be there only once it is enabled, for everyone or for the agent [S2-28, S2-29, S4-26, S4-27, S4-28]", () => {
    const { hides } = profiles(
      `enabled_tools: ["notes__*"]
profiles:
  bot: { enabled_tools: [mail__send] }`,
      {},
      ["files__write"],
    );
    for (const effect of ["write", "external", "destructive"] as const) {
      expect(hides("bot", "mail__send", effect)).toBeUndefined();
      expect(hides("other", "mail__send", effect)).toMatchObject({ decision: "deny", rule: "agents.enabled_tools" });
      expect(hides("other", "notes__save", effect)).toBeUndefined();
      expect(hides("other", "files__write", effect)).toBeUndefined();
      expect(hides("other", "files__write2", effect)).toMatchObject({ rule: "agents.enabled_tools" });
    }
    expect(hides("other", "mail__send", "read")).toBeUndefined();
  });

  it("that operators set stands over that of config.yml field by field, and both deny", () => {
    const both = profiles("profiles:\n  bot: { tools: [a__b], deny: [c__d], calls_per_minute: 5 }", {
      bot: { tools: ["*"], deny: ["e__f"] },
    });
    expect(both.of("bot")).toMatchObject({ tools: ["*"], deny: ["c__d", "e__f"], callsPerMinute: 5 });
    expect(both.defined.get("bot")).toEqual(["config", "store"]);
    expect(both.hides("bot", "c__d", "read")).toMatchObject({ decision: "deny" });
    expect(both.hides("bot", "e__f", "read")).toMatchObject({ decision: "deny" });
    expect(both.hides("bot", "x__y", "read")).toBeUndefined();
  });

  it("that cannot be read admits nothing", () => {
    for (const profile of [null, 7, [], { tools: "everything" }, { tolls: [] }, { calls_in_flight: 0 }])
      expect(profiles(EMPTY, { bot: profile }).hides("bot", "a__b", "read")).toMatchObject({ decision: "deny" });
  });

  it("of the default is that of every agent without one of its own", () => {
    const { hides, of } = profiles(`default: { tools: [a__b], calls_per_minute: 3 }
profiles:
  bot: {}`);
    expect(hides("anybody", "c__d", "read")).toMatchObject({ rule: "agent anybody: tools" });
    expect(of("anybody").callsPerMinute).toBe(3);
    expect(hides("bot", "c__d", "read")).toBeUndefined();
  });

  it("is forgotten for none of a thousand other names", () => {
    const { hides } = profiles("profiles:\n  bot: { tools: [a__b] }");
    for (let n = 0; n < 1500; n++) hides(`agent-${n}`, "a__b", "read");
    expect(hides("bot", "c__d", "read")).toMatchObject({ decision: "deny" });
  });
});

describe("the digest of all profiles", () => {
  it("is another one after each change that decides something, and the same for the same", () => {
    const digests = [
      profiles(EMPTY).digest,
      profiles("known_only: true").digest,
      profiles("enabled_tools: [a__b]").digest,
      profiles("default: { tools: [a__b] }").digest,
      profiles("profiles:\n  bot: { tools: [a__b] }").digest,
      profiles(EMPTY, { bot: { deny: ["a__b"] } }).digest,
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(profiles(EMPTY, {}, ["a__b"]).digest).toBe(profiles("enabled_tools: [a__b]").digest);
  });
});

describe("agents.known_only", () => {
  it("admits names with a profile and no other", () => {
    const known = profiles("known_only: true\nprofiles:\n  bot: {}", { desk: {} });
    expect(["bot", "desk", "stranger", "constructor"].map(known.admits)).toEqual([true, true, false, false]);
    expect(profiles(EMPTY).admits("stranger")).toBe(true);
  });
});

describe("config.yml", () => {
  it("gives an agent rules of its own, known by their place", () => {
    const text = `agents:
  profiles:
    bot:
      rules:
        - { tool: a__b, decision: deny }
        - { id: no-mail, tool: "mail__*", decision: require_approval }
    desk: {}
`;
    expect(parseConfig(text).agents.layers).toMatchObject([
      {
        agent: "bot",
        rules: [
          { id: "config.yml agent bot rules[0]", tool: "a__b", line: 5 },
          { id: "config.yml agent bot no-mail", line: 6 },
        ],
      },
    ]);
  });

  it.each([
    ["profiles:\n  bot: { tool: [a__b] }", "agents.profiles.bot"],
    ["profiles:\n  bot: { tools: ['a__*b'] }", "agents.profiles.bot.tools.0"],
    ["profiles:\n  '../bot': {}", "agents.profiles"],
    ["profiles:\n  bot: { calls_per_minute: 0 }", "agents.profiles.bot.calls_per_minute"],
    ["known: true", "agents"],
    ["enabled_tools: '*'", "agents.enabled_tools"],
    ["profiles:\n  bot: { rules: [{ agent: other, decision: allow }] }", "agents.profiles.bot.rules.0"],
    ["default: { rules: [{ decision: allow }] }", "agents.default"],
  ])("with %j is refused, naming the key", (text, key) => {
    expect(() => profiles(text)).toThrow(key);
  });
});
