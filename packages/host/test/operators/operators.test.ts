import { describe, expect, it } from "vitest";
import { createOperators, hashPassphrase, matchesPassphrase, PASSPHRASE_SETTING } from "../../src/operators/index.ts";

function world() {
  const stored = new Map<string, string>();
  let time = 0;
  return {
    stored,
    advance: (ms: number) => (time += ms),
    open: () =>
      createOperators({
        settings: {
          get: async (key) => stored.get(key) ?? null,
          set: async (key, value) => void stored.set(key, value),
        },
        clock: { now: () => time, monotonic: () => time },
      }),
  };
}

const PHRASE = "correct horse battery";
const required = { code: "passphrase_required" };

describe("the operators' passphrase", () => {
  it("lets every verb through, and says so, while none is set", async () => {
    const operators = await world().open();
    expect(operators.passphraseSet).toBe(false);
    await operators.authenticate(undefined);
  });

  it("refuses an absent, empty or wrong passphrase once one is set, also after a restart [S4-57]", async () => {
    const home = world();
    await (await home.open()).setPassphrase(undefined, PHRASE);
    const operators = await home.open();
    expect(operators.passphraseSet).toBe(true);
    await expect(operators.authenticate(undefined)).rejects.toMatchObject(required);
    await expect(operators.authenticate("")).rejects.toMatchObject(required);
    await expect(operators.authenticate(`${PHRASE} `)).rejects.toMatchObject(required);
    await operators.authenticate(PHRASE);
  });

  it("asks for the current passphrase before it is replaced", async () => {
    const operators = await world().open();
    await operators.setPassphrase(undefined, PHRASE);
    await expect(operators.setPassphrase(undefined, "another phrase")).rejects.toMatchObject(required);
    await expect(operators.setPassphrase("not this one", "another phrase")).rejects.toMatchObject(required);
    await operators.setPassphrase(PHRASE, "another phrase");
    await operators.authenticate("another phrase");
    await expect(operators.authenticate(PHRASE)).rejects.toMatchObject(required);
  });

  it("slows wrong tries down, parallel ones too, and recovers after the wait", async () => {
    const home = world();
    const operators = await home.open();
    await operators.setPassphrase(undefined, PHRASE);
    const tries = await Promise.allSettled(Array.from({ length: 6 }, (_, n) => operators.authenticate(`guess ${n}`)));
    const codes = tries.map((result) => (result.status === "rejected" ? String(result.reason.code) : "let in"));
    expect(codes).toEqual([...Array(3).fill("passphrase_required"), ...Array(3).fill("limit_exceeded")]);
    await expect(operators.authenticate(PHRASE)).rejects.toMatchObject({ code: "limit_exceeded" });
    home.advance(1001);
    await operators.authenticate(PHRASE);
  });

  it("stores a salted scrypt record and never the passphrase", async () => {
    const home = world();
    await (await home.open()).setPassphrase(undefined, PHRASE);
    const record = home.stored.get(PASSPHRASE_SETTING) ?? "";
    expect(record).not.toContain(PHRASE);
    expect(JSON.parse(record).N).toBeGreaterThanOrEqual(2 ** 15);
    expect(await hashPassphrase(PHRASE)).not.toBe(record);
    expect(await matchesPassphrase(record, PHRASE)).toBe(true);
    expect(await matchesPassphrase(record, "x".repeat(5000))).toBe(false);
  });

  it("refuses short and endless passphrases and leaves the old one in force", async () => {
    const operators = await world().open();
    await expect(operators.setPassphrase(undefined, "short")).rejects.toMatchObject({ code: "usage" });
    await expect(operators.setPassphrase(undefined, "x".repeat(2000))).rejects.toMatchObject({ code: "usage" });
    expect(operators.passphraseSet).toBe(false);
  });

  it.each(["", "{", '{"v":1}', '{"v":1,"N":2,"r":8,"p":1,"salt":"00","key":"00"}'])(
    "lets nobody in on a damaged record %j",
    async (record) => {
      const home = world();
      home.stored.set(PASSPHRASE_SETTING, record);
      const operators = await home.open();
      expect(operators.passphraseSet).toBe(true);
      await expect(operators.authenticate(PHRASE)).rejects.toMatchObject({ code: "store_unavailable" });
    },
  );
});
