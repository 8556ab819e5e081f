import { generateKeyPairSync } from "node:crypto";
import { chmod, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadOrCreateSigningKey } from "../../src/store/index.ts";
import { temporaryHomes } from "./home.ts";

const homes = temporaryHomes();

describe("the audit's signing key", () => {
  it("is made once, for the owner only", async () => {
    const path = join(await homes.directory(), "keys", "audit.pem");
    const first = await loadOrCreateSigningKey(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(path, ".."))).mode & 0o777).toBe(0o700);
    expect((await loadOrCreateSigningKey(path)).equals(first)).toBe(true);
  });

  it("is refused when others can read it", async () => {
    const path = join(await homes.directory(), "audit.pem");
    await loadOrCreateSigningKey(path);
    await chmod(path, 0o640);
    await expect(loadOrCreateSigningKey(path)).rejects.toMatchObject({ code: "home_unsafe" });
  });

  it("is never replaced when it cannot be used", async () => {
    const path = join(await homes.directory(), "audit.pem");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const content of ["", "nonsense", privateKey.export({ type: "pkcs8", format: "pem" })]) {
      await writeFile(path, content, { mode: 0o600 });
      await expect(loadOrCreateSigningKey(path)).rejects.toMatchObject({ code: "audit_unavailable" });
    }
  });
});
