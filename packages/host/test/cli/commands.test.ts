import { mkdtemp, readFile, rm, writeFile, chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CommandWorld, openCommandWorld } from "../support/command.ts";

let world: CommandWorld;
let scratch: string;

beforeEach(async () => {
  world = await openCommandWorld();
  scratch = await mkdtemp(join(tmpdir(), "sallyport-cli-files-"));
});
afterEach(async () => {
  await world.close();
  await rm(scratch, { recursive: true });
});

const done = (verb: string) => world.host.calls.filter((call) => call.verb === verb).map((call) => call.args.slice(1));

describe("tool", () => {
  it("lists and shows tools with schemas and decision", async () => {
    const { answer } = await world.json(["tool", "list"]);
    expect(answer).toMatchObject([
      {
        name: "weather__forecast",
        plugin: "weather",
        effect: "read",
        decision: "allow",
        input_schema: { type: "object" },
      },
    ]);
    expect((await world.json(["tool", "info", "weather__forecast"])).answer).toMatchObject({ output_schema: {} });
    expect((await world.sallyport(["tool", "list"])).out).toContain("weather__forecast");
  });

  it("calls a tool and answers {success, call_id, result, duration_ms}", async () => {
    const { code, answer } = await world.json(["tool", "call", "weather__forecast", "--input", '{"city":"Bern"}']);
    expect([code, answer]).toEqual([
      0,
      { success: true, call_id: "call_1", result: { celsius: 20 }, duration_ms: 1.5 },
    ]);
    expect((await world.sallyport(["tool", "call", "weather__forecast"])).out).toBe('{\n  "celsius": 20\n}\n');
  });

  it("reads the input from standard input or a file", async () => {
    await writeFile(join(scratch, "in.json"), '{"from":"file"}');
    await world.json(["tool", "call", "weather__forecast", "--input", "-"], { stdin: '{"from":"stdin"}' });
    await world.json(["tool", "call", "weather__forecast", "--input", `@${join(scratch, "in.json")}`]);
    expect(done("invoke").map(([request]) => request)).toMatchObject([
      { input: { from: "stdin" } },
      { input: { from: "file" } },
    ]);
    expect((await world.json(["tool", "call", "weather__forecast", "--input", "{"])).code).toBe(2);
  });

  it("exits with 4 when an operator has to approve, and names the approval", async () => {
    const { code, answer } = await world.json(["tool", "call", "weather__ask"]);
    expect([code, answer]).toMatchObject([
      4,
      { success: false, call_id: "call_2", code: "approval_required", approval: { id: "apr_2" } },
    ]);
    const shown = await world.sallyport(["tool", "call", "weather__ask"]);
    expect([shown.code, shown.out]).toEqual([4, ""]);
    expect(shown.err).toContain("apr_2");
  });

  it("acts as an agent with --agent, and says who did", async () => {
    await world.json(["tool", "call", "weather__forecast", "--agent", "bot"]);
    await world.json(["tool", "call", "weather__forecast"]);
    const callers = world.host.calls.filter(({ verb }) => verb === "invoke").map(({ args }) => args[0]);
    expect(callers).toMatchObject([
      { kind: "agent", agent: "bot", operator: expect.any(String) },
      { kind: "operator", agent: "cli", operator: expect.any(String) },
    ]);
    expect((await world.json(["tool", "call", "weather__forecast", "--agent", "../x"])).code).toBe(2);
  });
});

describe("approval and secret", () => {
  it("approves with uses and expiry, denies with a reason", async () => {
    const { answer } = await world.json(["approval", "approve", "apr_1", "--uses", "2", "--expires", "30m"]);
    expect(answer).toMatchObject({ success: true, approval: { state: "approved" } });
    await world.json(["approval", "deny", "apr_1", "--reason", "no"]);
    expect(done("approvals.approve")).toEqual([["apr_1", { uses: 2, expiresAt: Date.parse("2030-01-01T00:30:00Z") }]]);
    expect(done("approvals.deny")).toEqual([["apr_1", "no"]]);
    expect((await world.json(["approval", "approve", "apr_1", "--uses", "many"])).code).toBe(2);
  });

  it("says how far a yes reaches in the same words as REST, and takes one back", async () => {
    const words = [
      "--match",
      "city=Be*",
      "--host",
      "api.example.com",
      "--path",
      "/data/x",
      "--uses",
      "any",
      "--until",
      "2h",
    ];
    await world.json(["approval", "approve", "apr_1", ...words]);
    const expiresAt = Date.parse("2030-01-01T02:00:00Z");
    const scope = { match: ["city=Be*"], hosts: ["api.example.com"], paths: ["/data/x"] };
    expect(done("approvals.approve")).toEqual([["apr_1", { ...scope, uses: null, expiresAt }]]);
    await world.json(["approval", "withdraw", "apr_1", "--reason", "enough"]);
    expect(done("approvals.withdraw")).toEqual([["apr_1", "enough"]]);
    await world.json(["approval", "list", "--standing"]);
    expect(world.host.calls.at(-1)).toEqual({ verb: "approvals.list", args: [{ standing: true }] });
  });

  it("ends at a time of day here, today or tomorrow", async () => {
    const at = async (text: string): Promise<Date> => {
      await world.json(["approval", "approve", "apr_1", "--until", text]);
      const options = world.host.calls.at(-1)?.args[2];
      return new Date(Number(options instanceof Object && "expiresAt" in options ? options.expiresAt : Number.NaN));
    };
    const now = Date.parse("2030-01-01T00:00:00Z");
    for (const text of ["00:00", "9:30", "18:00", "23:59"]) {
      const date = await at(text);
      expect([date.getHours(), date.getMinutes()]).toEqual(text.split(":").map(Number));
      expect(date.getTime() - now).toBeGreaterThan(0);
      expect(date.getTime() - now).toBeLessThanOrEqual(24 * 60 * 60 * 1000);
    }
    for (const text of ["24:00", "18:60", "18"])
      expect((await world.json(["approval", "approve", "apr_1", "--until", text])).code).toBe(2);
  });

  it("shows how often operators are asked", async () => {
    expect((await world.json(["stats"])).answer).toMatchObject({ approvals: { prompts: 3, prompts_per_100: 1.5 } });
    expect((await world.sallyport(["stats"])).out).toContain("Asked 1.5 times per 100 calls");
  });

  it("holds a call until it is answered, when told to", async () => {
    for (const [words, waitMs] of [
      [[], undefined],
      [["--wait"], 600_000],
      [["--wait=5"], 5_000],
    ] as const) {
      await world.json(["tool", "call", "weather__forecast", ...words]);
      const request = world.host.calls.findLast(({ verb }) => verb === "invoke")?.args[1];
      expect(request).toEqual(expect.objectContaining(waitMs === undefined ? { input: {} } : { waitMs }));
    }
    expect((await world.json(["tool", "call", "weather__forecast", "--wait=1d"])).code).toBe(2);
  });

  it("lists what waits, or every state", async () => {
    expect((await world.json(["approval", "list"])).answer).toEqual([]);
    await world.json(["approval", "list", "--all"]);
    expect(world.host.calls.map(({ args }) => args[0])).toEqual([{ state: "pending" }, {}]);
    expect((await world.sallyport(["approval", "list"])).out).toBe(
      "Nothing waits for an answer.\nAsked 1.5 times per 100 calls (3 for 200).\n",
    );
  });

  it("takes a secret from standard input or a file, never from an argument, and never prints it", async () => {
    const { out } = await world.sallyport(["secret", "set", "API_KEY", "--for", "https://api.example.com"], {
      stdin: "s3cret\n",
    });
    expect(out).not.toContain("s3cret");
    await writeFile(join(scratch, "value"), "other");
    await world.json(["secret", "set", "API_KEY", "--value-file", join(scratch, "value")]);
    expect(done("secrets.set")).toEqual([
      ["API_KEY", "s3cret", ["https://api.example.com"]],
      ["API_KEY", "other", []],
    ]);
    expect((await world.json(["secret", "set", "API_KEY"], { stdin: "" })).code).toBe(2);
    expect((await world.json(["secret", "set", "API_KEY", "s3cret"])).code).toBe(2);
    expect((await world.json(["secret", "list"])).answer).toMatchObject([{ name: "API_KEY", updated_at: 5 }]);
    expect((await world.json(["secret", "remove", "API_KEY"])).answer).toEqual({ success: true, name: "API_KEY" });
  });
});

describe("the passphrase of widening verbs", () => {
  beforeEach(() => world.host.operators.setPassphrase(undefined, "für den Test ✓"));

  it("refuses without it, with exit code 3 and the way to give it", async () => {
    const { code, answer } = await world.json(["plugin", "approve", "weather", "--yes"]);
    expect([code, answer]).toMatchObject([
      3,
      { code: "passphrase_required", fix: expect.stringContaining("--passphrase-file") },
    ]);
    expect(done("approve")).toEqual([]);
  });

  it("takes it from SALLYPORT_PASSPHRASE or a private file", async () => {
    const env = { SALLYPORT_PASSPHRASE: "für den Test ✓" };
    expect((await world.json(["plugin", "approve", "weather", "--yes"], { env })).code).toBe(0);
    const file = join(scratch, "passphrase");
    await writeFile(file, "für den Test ✓\n", { mode: 0o600 });
    expect((await world.json(["secret", "remove", "X", "--passphrase-file", file])).code).toBe(0);
    await chmod(file, 0o644);
    expect(await world.json(["secret", "remove", "X", "--passphrase-file", file])).toMatchObject({
      code: 2,
      answer: { fix: expect.stringContaining("chmod 600") },
    });
  });

  it("refuses a wrong one", async () => {
    const wrong = { env: { SALLYPORT_PASSPHRASE: "not this one" } };
    expect(await world.json(["plugin", "enable", "weather"], wrong)).toMatchObject({
      code: 3,
      answer: { success: false },
    });
    expect(done("enable")).toEqual([]);
  });
});

describe("audit and doctor", () => {
  it("lists with filters and shows times", async () => {
    world.host.emit({
      type: "plugin.lifecycle",
      actor: "host",
      from: "approved",
      to: "starting",
      plugin: { id: "weather", version: "1", digest: "d" },
    });
    await world.json(["audit", "list", "--plugin", "weather", "--since", "1h", "--limit", "5"]);
    expect(world.host.calls).toMatchObject([
      { args: [{ plugin: "weather", since: Date.parse("2029-12-31T23:00:00Z"), limit: 5 }] },
    ]);
    expect((await world.sallyport(["audit", "list"])).out).toContain("weather approved → starting");
  });

  it("follows as lines of JSON until the owner stops", async () => {
    world.host.emit({ type: "plugin.lifecycle" });
    world.host.emit({ type: "plugin_tool.invoked", tool: "x\u202e" });
    const running = world.sallyport(["audit", "tail", "--json", "--after", "0"]);
    await expect.poll(() => world.host.calls.length).toBeGreaterThan(1);
    await world.owner.stop();
    const { code, out } = await running;
    expect(code).toBe(0);
    expect(out).not.toContain("\u202e");
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).seq),
    ).toEqual([1, 2]);
  });

  it("verifies the home, with a kept head", async () => {
    const head = `2:${"a".repeat(64)}`;
    expect(await world.json(["audit", "verify", "--head", head])).toEqual({
      code: 0,
      answer: { ok: true, events: 0, head: null, problems: [] },
    });
    expect(world.host.calls).toMatchObject([{ args: [{ seq: 2, hash: "a".repeat(64) }] }]);
  });

  it("exports to standard output or to a new private file", async () => {
    expect((await world.sallyport(["audit", "export"])).out).toBe('{"seq":1}\n{"head":1}\n');
    const out = join(scratch, "export.ndjson");
    expect((await world.json(["audit", "export", "--out", out])).answer).toEqual({ success: true, file: out });
    expect(await readFile(out, "utf8")).toBe('{"seq":1}\n{"head":1}\n');
    expect((await world.json(["audit", "export", "--out", out])).code).toBe(1);
  });

  it("doctor prints the level, what failed and its fix", async () => {
    expect((await world.json(["doctor"])).answer).toMatchObject({
      level: "runtime",
      available: ["runtime"],
      ok: false,
      checks: expect.arrayContaining([expect.objectContaining({ name: "bubblewrap", ok: false })]),
    });
    const { out } = await world.sallyport(["doctor"]);
    expect(out).toContain("Isolation here: runtime");
    expect(out).toContain("fix: apt install bubblewrap");
  });
});
