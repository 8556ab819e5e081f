import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { createKvStore, createSettings, deleteSetting, saveSetting } from "../../src/store/index.ts";
import { build } from "../../src/store/build.ts";
import { temporaryHomes } from "./home.ts";

const homes = temporaryHomes();
const open = async () => homes.open(await homes.directory());

describe("a unit of statements", () => {
  it("is written as a whole", async () => {
    const database = await open();
    await database.atomically([saveSetting("a", "1"), saveSetting("b", "2")]);
    const settings = createSettings(database);
    expect([await settings.get("a"), await settings.get("b")]).toEqual(["1", "2"]);
  });

  it("is undone when a statement changes another number of rows than expected", async () => {
    const database = await open();
    const unit = [saveSetting("a", "1"), { ...deleteSetting("missing"), expect: 1 }];
    await expect(database.atomically(unit)).rejects.toMatchObject({ code: "conflict" });
    expect(await createSettings(database).get("a")).toBeNull();
  });

  it("is undone when a statement breaks a constraint", async () => {
    const database = await open();
    const insert = { query: build.insertInto("settings").values({ key: "a", value: "1" }).compile() };
    await expect(database.atomically([insert, insert])).rejects.toMatchObject({ code: "conflict" });
    expect(await createSettings(database).get("a")).toBeNull();
    await database.atomically([insert]);
  });

  it("refuses an interactive transaction, which would hold the store", async () => {
    const database = await open();
    await expect(database.query.transaction().execute(async () => undefined)).rejects.toMatchObject({
      code: "internal",
    });
  });
});

describe("parameters", () => {
  it("turns a boolean into a number, which the driver survives", async () => {
    const database = await open();
    const answer = await sql<{ yes: number; no: number }>`SELECT ${true} AS yes, ${false} AS no`.execute(
      database.query,
    );
    expect(answer.rows).toEqual([{ yes: 1, no: 0 }]);
  });

  it.each([undefined, {}, [], new Date(0), Symbol("s"), Number.NaN, Number.POSITIVE_INFINITY, 2n ** 64n])(
    "refuses %s",
    async (value) => {
      const database = await open();
      await expect(sql`SELECT ${value} AS a`.execute(database.query)).rejects.toMatchObject({ code: "internal" });
      await expect(sql`SELECT 1 AS a`.execute(database.query)).resolves.toMatchObject({ rows: [{ a: 1 }] });
    },
  );

  it("keeps quotes and every plane of Unicode as they are", async () => {
    const settings = createSettings(await open());
    const text = "a'\";--\u0001 \u{1F600} \uFDFA";
    await settings.set(text, text);
    expect(await settings.get(text)).toBe(text);
  });

  it("replaces what the driver would cut or change: NUL and lone surrogates", async () => {
    const settings = createSettings(await open());
    await settings.set("a", "x\u0000y\uD800z");
    expect(await settings.get("a")).toBe("x\uFFFDy\uFFFDz");
  });

  it("refuses a plugin's key that would be changed, so that no two keys become one", async () => {
    const kv = createKvStore(await open());
    for (const key of ["a\u0000b", "a\uD800"]) {
      await expect(kv.set("p", key, "1", 100)).rejects.toMatchObject({ code: "usage" });
      await expect(kv.set("p", "a", JSON.stringify("ok") + key, 100)).rejects.toMatchObject({ code: "usage" });
    }
  });
});
