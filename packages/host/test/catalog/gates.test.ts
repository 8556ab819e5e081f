import { describe, expect, it } from "vitest";
import { type Grant, parseScopeArgument, type Scope } from "../../src/capability/index.ts";
import { LOAD_GATES, type LoadQuestion, passGates } from "../../src/catalog/index.ts";
import { parseConfig } from "../../src/config/index.ts";
import { type ErrorCode, PolicyViolationError, SallyportError } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import type { StoredPlugin } from "../../src/store/index.ts";
import { assertFrozen, lockEntryOf } from "../../src/host/lock-entry.ts";
import { createSeals } from "../../src/host/seals.ts";
import type { KeyId, TrustDecision } from "../../src/trust/index.ts";
import { manifestOf, toolLine } from "../support/home.ts";

const NOW = 1_000_000;
const ENABLED = parseConfig("plugins: { enabled: true }");
const TIGHT = parseConfig("plugins: { enabled: true }\nlimits: { memory_mb: 128 }");
const REACH = parseScopeArgument("network=api.example.com");

function record(more = "permissions: {}", change: Partial<StoredPlugin> = {}): StoredPlugin {
  const { manifest } = readManifest({
    name: "plugin.yml",
    bytes: Buffer.from(manifestOf("weather", [toolLine("look")], more).replace("1.0.0", "1.2.0")),
  });
  return {
    ref: { id: "weather", version: "1.2.0", digest: `sha256:${"a".repeat(64)}` },
    manifest,
    manifestDigest: "sha256:manifest",
    codeDigest: "sha256:code",
    source: "directory:/nowhere",
    root: "/nowhere",
    bundle: "bundle.mjs",
    defaults: {},
    state: "approved",
    active: true,
    installedAt: 0,
    lastError: null,
    executionCount: 0,
    errorCount: 0,
    ...change,
  };
}

function grant(change: Partial<Grant> = {}): Grant {
  return {
    id: "grt_1",
    pluginId: "weather",
    version: "1.2.0",
    manifestDigest: "sha256:manifest",
    treeDigest: `sha256:${"a".repeat(64)}`,
    scopes: [REACH],
    grantedBy: "ann",
    grantedAt: 0,
    ...change,
  };
}

/** A plugin that every gate lets in, with whatever a test changes; `asked` notes what was looked at, in order. */
function question(change: Partial<LoadQuestion> = {}): LoadQuestion & { readonly asked: string[] } {
  const asked: string[] = [];
  const note =
    <A extends unknown[], R>(name: string, work: (...args: A) => R) =>
    (...args: A): R => {
      asked.push(name);
      return work(...args);
    };
  const whole: LoadQuestion = {
    record: record(),
    config: ENABLED,
    allowList: [{ id: "weather" }],
    revocation: undefined,
    grant: grant(),
    ceiling: undefined,
    now: NOW,
    hostVersion: "0.1.0",
    installed: new Map(),
    verifyStored: () => Promise.resolve(),
    checkSeals: () => undefined,
    checkLock: () => Promise.resolve(),
    trustOf: () => Promise.resolve(trust()),
    effectiveConfig: () => Promise.resolve({ units: "metric" }),
    levelFor: () => "namespace",
    ...change,
  };
  return {
    ...whole,
    verifyStored: note("bytes", whole.verifyStored),
    trustOf: note("evidence", whole.trustOf),
    effectiveConfig: note("configuration", whole.effectiveConfig),
    levelFor: note("level", whole.levelFor),
    asked,
  };
}

async function refusal(asked: LoadQuestion): Promise<SallyportError> {
  const thrown: unknown = await passGates(asked).then(
    () => expect.fail("it was let in"),
    (error: unknown) => error,
  );
  if (!(thrown instanceof SallyportError)) throw thrown;
  return thrown;
}

const refuses = (code: ErrorCode) => (): never => {
  throw new PolicyViolationError(code, "No.");
};

function trust(change: Partial<TrustDecision> = {}): TrustDecision {
  return {
    verdict: "unverified",
    requirement: "preferred",
    risk: "high",
    evidence: [],
    missing: ["signature"],
    reasons: ["It comes from a directory of this machine, which needs no signature."],
    ...change,
  };
}

const NEEDY = record(
  'permissions: {}\nengines: { sallyport: ">=0.1" }\ndependencies: { geo: ^2.0.0 }\nlimits: { memory_mb: 512 }',
);
const PINNED = lockEntryOf(record());

const UNSIGNED = trust({
  verdict: "refused",
  reasons: ["No.", "It is not signed."],
  refusal: { code: "signature_required", fix: "Sign it." },
});

/** For each gate, in order, what makes it refuse, the code, and what has been looked at by then. */
const BREAKS: readonly (readonly [string, ErrorCode, Partial<LoadQuestion>, readonly string[]])[] = [
  ["plugins-enabled", "plugins_disabled", { config: parseConfig("") }, []],
  ["allow-list", "not_allow_listed", { allowList: [] }, []],
  ["not-revoked", "revoked", { revocation: "code_digest" }, []],
  [
    "seal",
    "seal_invalid",
    { checkSeals: () => createSeals({ current: Buffer.alloc(32) }).check(record(), grant()) },
    [],
  ],
  [
    "lock",
    "lock_mismatch",
    { checkLock: async () => assertFrozen(PINNED, { ...PINNED, source: "directory:/there" }) },
    [],
  ],
  ["tree-digest", "digest_mismatch", { verifyStored: async () => refuses("digest_mismatch")() }, ["bytes"]],
  ["signature", "signature_required", { trustOf: async () => UNSIGNED }, ["bytes", "evidence"]],
  [
    "configuration",
    "plugin_config_invalid",
    { effectiveConfig: async () => refuses("plugin_config_invalid")() },
    ["bytes", "evidence", "configuration"],
  ],
  ["engine", "engine_mismatch", { hostVersion: "0.0.9" }, ["bytes", "evidence", "configuration"]],
  ["dependencies", "dependency_missing", { installed: new Map() }, ["bytes", "evidence", "configuration"]],
  ["grants", "not_approved", { grant: undefined }, ["bytes", "evidence", "configuration"]],
  ["ceiling", "ceiling_exceeded", { ceiling: [] }, ["bytes", "evidence", "configuration"]],
  ["limits", "ceiling_exceeded", { config: TIGHT }, ["bytes", "evidence", "configuration"]],
  [
    "enforceable",
    "not_enforceable",
    {
      record: { ...NEEDY, manifest: { ...NEEDY.manifest, mcpServers: [{ name: "words" }] } },
      grant: grant({ scopes: [parseScopeArgument("exec=ls")] }),
    },
    ["bytes", "evidence", "configuration"],
  ],
  [
    "in-process",
    "isolation_unavailable",
    { grant: grant({ inProcess: true }) },
    ["bytes", "evidence", "configuration"],
  ],
  [
    "isolation",
    "isolation_unavailable",
    { levelFor: refuses("isolation_unavailable") },
    ["bytes", "evidence", "configuration", "level"],
  ],
];

const FRIENDLY = { record: NEEDY, installed: new Map([["geo", "2.1.0"]]) };

describe("the gates of a load", () => {
  it("are these, in this order", () => {
    expect(LOAD_GATES.map((gate) => gate.name)).toEqual(BREAKS.map(([name]) => name));
  });

  it("let in what passes them all, with the level, the grant and the configuration that hold", async () => {
    expect(await passGates(question(FRIENDLY))).toEqual({
      level: "namespace",
      grant: grant(),
      config: { units: "metric" },
    });
  });

  it.each([
    ["memory_mb", 1024, 1025, ""],
    ["concurrency", 32, 33, ""],
    ["memory_mb", 4096, 4097, "limits: { memory_mb: 4096 }"],
    ["memory_mb", 64, 65, "limits: { memory_mb: 64 }"],
    ["concurrency", 2, 3, "limits: { concurrency: 2 }"],
    ["concurrency", 200, 201, "limits: { concurrency: 200 }"],
  ])(
    "limits lets %s %i in and refuses %i, with what to write, when config.yml says {%s}",
    async (name, most, over, text) => {
      const config = parseConfig(`plugins: { enabled: true }\n${text}`);
      const asks = (value: number) =>
        question({ record: record(`permissions: {}\nlimits: { ${name}: ${value} }`), config });
      await passGates(asks(most));
      expect(await refusal(asks(over))).toMatchObject({
        code: "ceiling_exceeded",
        message: expect.stringContaining(`limits.${name} ${over}; this host gives at most ${most}`),
        fix: expect.stringContaining(`limits.${name}: ${over}`),
      });
    },
  );

  it.each(BREAKS)("%s alone refuses with %s", async (_name, code, change) => {
    expect(await refusal(question({ ...FRIENDLY, ...change }))).toMatchObject({ code });
  });

  it.each(BREAKS.map((entry, index) => [entry[0], index] as const))(
    "%s refuses before any later gate is asked",
    async (_name, index) => {
      // Every later gate would refuse as well; where two need the same fact, the earlier one's is kept.
      const later = BREAKS.slice(index).toReversed();
      const change = Object.assign({}, ...later.map(([, , broken]) => broken)) as Partial<LoadQuestion>;
      const [, code, , asked] = BREAKS[index]!;
      const tried = question({ ...FRIENDLY, ...change });
      expect(await refusal(tried)).toMatchObject({ code });
      expect(tried.asked).toEqual(asked);
    },
  );

  it.each(BREAKS.map(([name], index) => [name, index] as const))("%s says how to mend it", async (name, index) => {
    const [, code, change] = BREAKS[index]!;
    if (name === "tree-digest" || name === "configuration" || name === "isolation") return;
    const refused = await refusal(question({ ...FRIENDLY, ...change }));
    expect(refused).toBeInstanceOf(PolicyViolationError);
    expect([refused.code, refused.fix]).toEqual([code, expect.stringMatching(/\S/)]);
  });
});

describe("a grant of commands", () => {
  const commands = grant({ scopes: [parseScopeArgument("exec=ls")] });
  it.each(["runtime", "in-process"] as const)(
    "does not start a plugin at %s, where nothing would contain them",
    async (level) => {
      expect(await refusal(question({ grant: commands, levelFor: () => level }))).toMatchObject({
        code: "not_enforceable",
      });
      await passGates(question({ levelFor: () => level }));
    },
  );
  it.each(["namespace", "landlock"] as const)("starts it at %s", async (level) => {
    await passGates(question({ grant: commands, levelFor: () => level }));
  });
});

describe("the allow-list", () => {
  const admits = async (allowList: LoadQuestion["allowList"]): Promise<boolean> =>
    passGates(question({ allowList })).then(
      () => true,
      () => false,
    );

  it("admits by id, and by range and digest where an entry names them; all that is named must match [S0-4]", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    expect(await admits([{ id: "other" }, { id: "weather" }])).toBe(true);
    expect(await admits([{ id: "weather", version: "^1.2.0", digest }])).toBe(true);
    for (const entry of [
      { id: "Weather" },
      { id: "weathe" },
      { id: "*" },
      { id: "weather", version: "^2.0.0" },
      { id: "weather", version: "", digest: "sha256:b" },
      { id: "weather", version: "no range" },
      { id: "weather", digest: `sha256:${"b".repeat(64)}` },
      { id: "weather", version: "^1.2.0", digest: `sha256:${"b".repeat(64)}` },
    ]) {
      expect(await admits([entry]), JSON.stringify(entry)).toBe(false);
    }
  });

  it("admits by publisher only what that key signed by the evidence as it is now, whatever the store says", async () => {
    const [acme, other] = ["ed25519:acme", "ed25519:other"] as const;
    const asked = (publisherKey: KeyId | undefined, allowList: LoadQuestion["allowList"]) =>
      passGates(
        question({
          record: record(undefined, { publisherKey: acme }),
          allowList,
          trustOf: () => Promise.resolve(trust(publisherKey === undefined ? {} : { publisherKey })),
        }),
      );
    const entry = { id: "weather", publisher: acme };
    await expect(asked(acme, [entry])).resolves.toBeDefined();
    for (const key of [other, undefined] as const) {
      await expect(asked(key, [entry])).rejects.toMatchObject({ code: "not_allow_listed" });
    }
    await expect(asked(acme, [{ ...entry, id: "other" }])).rejects.toMatchObject({ code: "not_allow_listed" });
    await expect(asked(undefined, [entry, { id: "weather" }])).resolves.toBeDefined();
  });

  it("orders versions as versions: 1.10.0 is above 1.9.0", async () => {
    const newer = record(undefined, { ref: { id: "weather", version: "1.10.0", digest: "sha256:x" } });
    const own = grant({ version: "1.10.0", treeDigest: "sha256:x" });
    const asked = (version: string) =>
      passGates(question({ record: newer, grant: own, allowList: [{ id: "weather", version }] }));
    await expect(asked(">=1.9.0")).resolves.toBeDefined();
    await expect(asked("<1.9.0")).rejects.toMatchObject({ code: "not_allow_listed" });
  });
});

describe("a revoked record", () => {
  it("is refused also when no revocation is found", async () => {
    expect(await refusal(question({ record: record(undefined, { state: "revoked" }) }))).toMatchObject({
      code: "revoked",
    });
  });
});

describe("the grant", () => {
  it.each<readonly [string, Partial<Grant>]>([
    ["another id", { pluginId: "weather2" }],
    ["another version", { version: "1.2.1" }],
    ["another manifest", { manifestDigest: "sha256:other" }],
    ["other bytes", { treeDigest: "sha256:other" }],
    ["a time that is over", { expiresAt: NOW }],
    ["a time long over", { expiresAt: 0 }],
  ])("for %s is none [S1-7, S1-32]", async (_what, change) => {
    expect(await refusal(question({ grant: grant(change) }))).toMatchObject({ code: "not_approved" });
  });

  it("holds until the moment it ends", async () => {
    await expect(passGates(question({ grant: grant({ expiresAt: NOW + 1 }) }))).resolves.toBeDefined();
  });
});

describe("the host's ceiling", () => {
  const granted = (scope: Scope, ceiling: readonly Scope[] | undefined, config = ENABLED) =>
    question({ grant: grant({ scopes: [scope] }), ceiling, config });

  it("does not limit when absent, refuses everything when empty, and admits what lies within it", async () => {
    await expect(passGates(granted(REACH, undefined))).resolves.toBeDefined();
    await expect(passGates(granted(REACH, [parseScopeArgument("network=*.example.com")]))).resolves.toBeDefined();
    for (const ceiling of [
      [],
      [parseScopeArgument("network=other.com")],
      [parseScopeArgument("network=api.example.com,methods=GET")],
    ]) {
      expect(await refusal(granted(REACH, ceiling))).toMatchObject({ code: "ceiling_exceeded" });
    }
  });

  it("is network.tool_allowed_hosts too: a granted host must be on that list, with its port [S0-33]", async () => {
    const config = (hosts: string) =>
      parseConfig(`plugins: { enabled: true }\nnetwork: { tool_allowed_hosts: [${hosts}] }`);
    for (const hosts of ["api.example.com", "'api.example.com:443'", "'*.example.com'"]) {
      await expect(passGates(granted(REACH, undefined, config(hosts)))).resolves.toBeDefined();
    }
    for (const hosts of [
      "",
      "example.com",
      "'api.example.com:8443'",
      "'*.api.example.com'",
      "api.example.com.evil.net",
    ]) {
      expect(await refusal(granted(REACH, undefined, config(hosts))), hosts).toMatchObject({
        code: "ceiling_exceeded",
      });
    }
    const wide = parseScopeArgument("network=*.example.com");
    expect(await refusal(granted(wide, undefined, config("api.example.com")))).toMatchObject({
      code: "ceiling_exceeded",
    });
  });
});

describe("dependencies", () => {
  it("are there in a version that fits [S3-12]", async () => {
    for (const version of ["2.0.0", "2.10.3"]) {
      await expect(
        passGates(question({ record: NEEDY, installed: new Map([["geo", version]]) })),
      ).resolves.toBeDefined();
    }
    for (const version of ["1.9.9", "3.0.0", "2.0.0-beta"]) {
      const refused = await refusal(question({ record: NEEDY, installed: new Map([["geo", version]]) }));
      expect(refused).toMatchObject({ code: "dependency_missing", detail: `Version ${version} is active.` });
    }
  });
});
