import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, sha256 } from "../../src/kernel/index.ts";
import { decideTrust, treeDigest } from "../../src/trust/index.ts";
import { ACME, contextOf, FILES, leavesOf, signed, subjectOf, trusted } from "./support.ts";

const believed = contextOf({ keys: [trusted(ACME)] });

const MANIFEST = {
  manifest_version: 1,
  id: "weather",
  version: "1.2.0",
  contributes: {
    tools: [
      { name: "forecast", effect: "read", input_schema: { type: "object", properties: { city: { maxLength: 80 } } } },
    ],
  },
  permissions: { network: [{ host: "api.example.com", port: 443, methods: ["GET"], reason: "Reads." }], secrets: [] },
  dependencies: {},
};

/** Each way to change one leaf of a JSON value, a leaf being a primitive or an empty container. */
function changesOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) {
    return value.flatMap((member, index) => changesOf(member).map((other) => value.with(index, other)));
  }
  if (typeof value === "object" && value !== null && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, member]) => [
      ...changesOf(member).map((other) => ({ ...value, [key]: other })),
      Object.fromEntries(Object.entries(value).filter(([name]) => name !== key)),
    ]);
  }
  if (typeof value === "number") return [value + 1];
  return typeof value === "string" ? [`${value}x`] : ["x"];
}

async function verdictOf(files: Readonly<Record<string, string | Uint8Array>>, signature: string): Promise<string> {
  return (await decideTrust(subjectOf(files), { signature }, believed)).verdict;
}

describe("a signed tree", () => {
  const signature = signed(subjectOf(), ACME);
  const bytes = Object.fromEntries(Object.entries(FILES).map(([path, text]) => [path, Buffer.from(text)]));

  it("no longer verifies with any one bit of any file changed [S3-85]", async () => {
    expect(await verdictOf(bytes, signature)).toBe("verified");
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(bytes)), fc.nat(), fc.nat({ max: 7 }), async (path, at, bit) => {
        const changed = Buffer.from(bytes[path] ?? []);
        const index = at % changed.length;
        changed[index] = (changed[index] ?? 0) ^ (1 << bit);
        expect(await verdictOf({ ...bytes, [path]: changed }, signature)).toBe("refused");
      }),
    );
  });

  it("no longer verifies with a file renamed, swapped, added, taken away, or executable", async () => {
    const { "README.md": readme = "", ...rest } = bytes;
    expect(await verdictOf({ ...rest, README: readme }, signature)).toBe("refused");
    expect(await verdictOf(rest, signature)).toBe("refused");
    expect(await verdictOf({ ...bytes, "more.js": "" }, signature)).toBe("refused");
    const bundle = bytes[".sallyport/bundle.mjs"] ?? "";
    expect(await verdictOf({ ...bytes, "README.md": bundle, ".sallyport/bundle.mjs": readme }, signature)).toBe(
      "refused",
    );
    const executable = leavesOf(FILES).map((leaf) => (leaf.path === "README.md" ? { ...leaf, mode: 0o755 } : leaf));
    const about = { ...subjectOf(), treeDigest: treeDigest(executable) };
    expect((await decideTrust(about, { signature }, believed)).verdict).toBe("refused");
  });

  it("no longer verifies with any one leaf of its manifest changed or gone [S3-86]", async () => {
    const files = { ...FILES, "plugin.json": canonicalJson(MANIFEST) };
    const about = (manifest: unknown) => {
      const text = canonicalJson(manifest);
      return subjectOf({ ...files, "plugin.json": text }, { manifestDigest: sha256(text) });
    };
    const own = signed(about(MANIFEST), ACME);
    expect((await decideTrust(about(MANIFEST), { signature: own }, believed)).verdict).toBe("verified");
    const changes = changesOf(MANIFEST);
    expect(changes.length).toBeGreaterThan(30);
    for (const changed of changes) {
      const decision = await decideTrust(about(changed), { signature: own }, believed);
      expect(decision.refusal?.code, JSON.stringify(changed)).toBe("signature_invalid");
      // The manifest digest alone tells, too: it is signed beside the tree digest.
      const sameTree = { ...about(changed), treeDigest: about(MANIFEST).treeDigest };
      expect((await decideTrust(sameTree, { signature: own }, believed)).refusal?.code).toBe("signature_invalid");
    }
  });

  it("no longer verifies with any one bit of its signature file changed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: Buffer.byteLength(signature) - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const changed = Buffer.from(signature);
        changed[at] = (changed[at] ?? 0) ^ (1 << bit);
        expect(await verdictOf(bytes, changed.toString("latin1"))).toBe("refused");
      }),
    );
  });
});
