import { describe, expect, it } from "vitest";
import {
  chooseVersion,
  createSearchIndex,
  type IndexEntry,
  parseSourceSpec,
  type VersionOffer,
} from "../../src/registry/index.ts";
import { refusal } from "../registry/plugin-folder.ts";
import { DAY, HOUR, NOW } from "./support.ts";

function offer(version: string, given: Partial<VersionOffer> = {}): VersionOffer {
  return { version, publishedAt: NOW - 100 * DAY, yanked: null, engine: null, refused: undefined, ...given };
}

function choose(range: string, offers: readonly VersionOffer[], minimumAgeMs = 0): string {
  return chooseVersion(offers, { what: "weather in acme", range, now: NOW, minimumAgeMs, hostVersion: "0.1.0" })
    .version;
}

const refusedOf = (range: string, offers: readonly VersionOffer[], age = 0) =>
  refusal(Promise.resolve().then(() => choose(range, offers, age)));

describe("choosing a version", () => {
  const offers = ["1.9.0", "1.10.0", "1.2.3", "2.0.0-beta.1", "0.9.0"].map((version) => offer(version));

  it("takes the highest as semver orders, and a pre-release only when it is asked for [S3-35]", () => {
    expect(choose("", offers)).toBe("1.10.0");
    expect(choose("*", offers)).toBe("1.10.0");
    expect(choose("^1.2", offers)).toBe("1.10.0");
    expect(choose("~1.9", offers)).toBe("1.9.0");
    expect(choose("1.2.3", offers)).toBe("1.2.3");
    expect(choose("2.0.0-beta.1", offers)).toBe("2.0.0-beta.1");
    expect(choose(">=2.0.0-alpha", offers)).toBe("2.0.0-beta.1");
  });

  it("explains each version that does not fit", async () => {
    const failure = await refusedOf("^2", [
      ...offers,
      offer("2.1.0", { yanked: "wrong unit" }),
      offer("2.2.0", { engine: ">=9" }),
      offer("2.3.0", { refused: "is signed by a key that was revoked here" }),
    ]);
    expect(failure).toMatchObject({ code: "no_version", message: "No version of weather in acme fits ^2." });
    expect(failure.data["refused"]).toEqual([
      { version: "2.3.0", reason: "is signed by a key that was revoked here" },
      { version: "2.2.0", reason: "needs Sallyport >=9, and this is 0.1.0" },
      { version: "2.1.0", reason: "was taken back by its publisher (wrong unit)" },
      { version: "2.0.0-beta.1", reason: "is a pre-release, which has to be asked for by its version" },
      { version: "1.10.0", reason: "is outside the range" },
      { version: "1.9.0", reason: "is outside the range" },
      { version: "1.2.3", reason: "is outside the range" },
      { version: "0.9.0", reason: "is outside the range" },
    ]);
    const pre = await refusedOf("", [offer("3.0.0-rc.1")]);
    expect(pre.data["refused"]).toEqual([
      { version: "3.0.0-rc.1", reason: "is a pre-release, which has to be asked for by its version" },
    ]);
    expect(await refusedOf("", [])).toMatchObject({ code: "no_version", detail: "It has no versions at all." });
  });

  it("takes a yanked version only for who asks for exactly it, and a revoked one for nobody", async () => {
    const yanked = [offer("1.0.0"), offer("1.1.0", { yanked: "bad" }), offer("1.2.0", { refused: "was revoked here" })];
    expect(choose("^1", yanked)).toBe("1.0.0");
    expect(choose("1.1.0", yanked)).toBe("1.1.0");
    expect(await refusedOf("1.2.0", yanked)).toMatchObject({ code: "no_version" });
  });

  it("waits until a version is old enough, pinned or not, and says so", async () => {
    const young = [
      offer("1.0.0"),
      offer("1.1.0", { publishedAt: NOW - 5 * HOUR }),
      offer("1.2.0", { publishedAt: undefined }),
    ];
    expect(choose("", young)).toBe("1.2.0");
    expect(choose("", young, 3 * DAY)).toBe("1.0.0");
    const failure = await refusedOf("1.1.0", young, 3 * DAY);
    expect(failure).toMatchObject({ code: "no_version", fix: expect.stringContaining("minimum_age") });
    expect(failure.data["refused"]).toContainEqual({
      version: "1.1.0",
      reason: "is 5 hours old, and trust.minimum_age asks for 3 days",
    });
  });
});

describe("what an operator names", () => {
  const kindOf = (name: string) => ({ acme: "index", corp: "npm" } as const)[name];

  it("is a path, a version in an index, or an npm package", () => {
    expect(parseSourceSpec("/srv/weather", kindOf)).toEqual({ kind: "path", path: "/srv/weather" });
    expect(parseSourceSpec("weather", kindOf)).toEqual({
      kind: "index",
      id: "weather",
      range: "",
      registry: undefined,
    });
    expect(parseSourceSpec("acme:acme/weather@^1.2", kindOf)).toEqual({
      kind: "index",
      id: "acme/weather",
      range: "^1.2",
      registry: "acme",
    });
    expect(parseSourceSpec("npm:@acme/weather@1.2.0", kindOf)).toEqual({
      kind: "npm",
      name: "@acme/weather",
      range: "1.2.0",
      registry: "npm",
    });
    expect(parseSourceSpec("corp:weather@next", kindOf)).toMatchObject({
      kind: "npm",
      range: "next",
      registry: "corp",
    });
  });

  it.each([
    ["", "usage"],
    ["Weather", "usage"],
    ["../weather", "usage"],
    ["weather@not a range", "usage"],
    ["weather@latest", "usage"],
    ["npm:../x", "usage"],
    ["npm:@acme/../x", "usage"],
    ["npm:a b", "usage"],
    ["a\0b", "usage"],
    ["nobody:weather", "not_found"],
    ["https://example.com/x.tgz", "not_found"],
    ["x".repeat(5000), "usage"],
  ])("refuses %j", (text, code) => {
    expect(() => parseSourceSpec(text, kindOf)).toThrow(expect.objectContaining({ code }));
  });
});

describe("searching", async () => {
  const entry = (id: string, version: string, given: Partial<IndexEntry> = {}): IndexEntry => ({
    id,
    version,
    name: id,
    description: "",
    author: null,
    license: null,
    categories: [],
    engine: null,
    dependencies: {},
    permissions: [],
    file: `${id}.tgz`,
    length: 1,
    sha256: "",
    integrity: "",
    tree_digest: "",
    manifest_digest: "",
    signed_by: [],
    published_at: NOW,
    yanked: null,
    ...given,
  });
  const index = await createSearchIndex([
    entry("acme/weather", "1.0.0", { categories: ["integration"] }),
    entry("gone", "1.0.0", { yanked: "all of it" }),
    entry("rain", "1.0.0", { description: "Weather in one word.", categories: ["integration"] }),
    entry("weather", "1.9.0"),
    entry("weather", "1.10.0", { description: "Forecasts\u202e." }),
    entry("weather", "2.0.0-beta.1"),
    entry("weather-maps", "1.0.0"),
  ]);
  const find = (text: string, category?: string) =>
    index.find({ text, category, limit: 10 }).hits.map(({ entry: hit }) => `${hit.id}@${hit.version}`);

  it("finds by all words and by category, the best first, each plugin by its newest release [S3-36]", () => {
    expect(find("weather")).toEqual(["acme/weather@1.0.0", "weather@1.10.0", "weather-maps@1.0.0", "rain@1.0.0"]);
    expect(find("WEATHER word")).toEqual(["rain@1.0.0"]);
    expect(find("", "integration")).toEqual(["acme/weather@1.0.0", "rain@1.0.0"]);
    expect(find("forecasts")).toEqual(["weather@1.10.0"]);
    expect(find("gone")).toEqual([]);
    expect(find("nothing of the kind")).toEqual([]);
    const { hits, total } = index.find({ text: "weather", limit: 2 });
    expect([hits.length, total, hits[1]?.versions]).toEqual([2, 4, 3]);
  });
});
