import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/index.ts";
import { decideTrust, type ProvenanceIdentity, type TrustPolicy } from "../../src/trust/index.ts";
import { contextOf, FILES, STRICT, subjectOf } from "./support.ts";

/**
 * A real one, of gundam-visor 1.0.1 on npm, with its entry in the public transparency log. It was signed in 2024 with a certificate
 * that lived ten minutes; the log's time is what makes it verify today, and there is no network in between.
 */
const BUNDLE = readFileSync(new URL("fixtures/npm-provenance.json", import.meta.url), "utf8");
/** Of the archive as npm serves it. */
const INTEGRITY = `sha512-${Buffer.from(
  "8d9d7972f676516c75014aa074e11ae604d98f0b64ec6725a61e2838ff3dab162118fa71433fb31e1550d30bd0dec9d086ce032b94457b583900c507acf39c40",
  "hex",
).toString("base64")}`;
const ISSUER = "https://token.actions.githubusercontent.com";
const REPOSITORY = "https://github.com/ramonpetgrave64/gundam-visor/";

function policy(given: Partial<ProvenanceIdentity> = {}): TrustPolicy {
  return { ...STRICT, provenance: [{ plugins: ["weather"], issuer: ISSUER, subject: `${REPOSITORY}*`, ...given }] };
}

async function decide(bundle: string, own = policy(), integrity = INTEGRITY, risk: "low" | "high" = "high") {
  return decideTrust(subjectOf(FILES, { risk }), { provenance: { bundle, integrity } }, contextOf({ policy: own }));
}

describe("build provenance", () => {
  it("of npm verifies offline, for the identity that the operator named [S4-63]", async () => {
    const decision = await decide(BUNDLE);
    expect(decision).toMatchObject({ verdict: "verified", missing: [], signer: { trusted: true } });
    expect(decision.publisherKey).toMatch(/^sigstore:[0-9a-f]{64}$/);
    expect(decision.evidence.find(({ kind }) => kind === "provenance")?.detail).toContain(
      `${REPOSITORY}.github/workflows/`,
    );
    const exact = `${REPOSITORY}.github/workflows/npm-publish.yml@refs/tags/v1.0.1`;
    expect((await decide(BUNDLE, policy({ subject: exact }))).verdict).toBe("verified");
  });

  it("by anybody else counts as nothing", async () => {
    for (const other of [
      { subject: "https://github.com/ramonpetgrave64/gundam/*" },
      { subject: REPOSITORY },
      { issuer: "https://accounts.example.com" },
      { plugins: ["weather-two"] },
    ]) {
      expect((await decide(BUNDLE, policy(other))).refusal?.code).toBe("signature_required");
    }
    expect((await decide(BUNDLE, STRICT, INTEGRITY, "low")).verdict).toBe("unverified");
  });

  it("of another archive is wrong, and so is one with any part changed", async () => {
    const other = `sha512-${Buffer.alloc(64).toString("base64")}`;
    expect((await decide(BUNDLE, policy(), other, "low")).refusal?.code).toBe("signature_invalid");
    const parts: readonly (readonly [string, string])[] = [
      ['"payload": "eyJf', '"payload": "eyJg'],
      ['"sig": "MEUC', '"sig": "MEUD'],
      ['"signedEntryTimestamp": "MEUCIQCC', '"signedEntryTimestamp": "MEUCIQCD'],
      ['"integratedTime": "1717453079"', '"integratedTime": "1717453080"'],
      ['"rawBytes": "MIIHFDCC', '"rawBytes": "MIIHFDCD'],
      ["38feiWPH", "38feiWPI"],
      ["application/vnd.in-toto+json", "application/json"],
    ];
    for (const [from, to] of parts) {
      const changed = BUNDLE.replace(from, to);
      expect(changed).not.toBe(BUNDLE);
      expect((await decide(changed, policy(), INTEGRITY, "low")).refusal?.code, from).toBe("signature_invalid");
    }
    for (const odd of ["", "{}", "null", "[".repeat(100), `${BUNDLE}${" ".repeat(2_000_000)}`]) {
      expect((await decide(odd, policy(), INTEGRITY, "low")).refusal?.code).toBe("signature_invalid");
    }
  });

  it("without its entry in the log is wrong: nobody would know when it was signed", async () => {
    const parsed: { verificationMaterial: { tlogEntries: unknown[] } } = JSON.parse(BUNDLE);
    parsed.verificationMaterial.tlogEntries = [];
    expect((await decide(JSON.stringify(parsed))).refusal?.code).toBe("signature_invalid");
  });

  it("is configured by identities that cannot reach into a longer name", () => {
    const config = (subject: string): string =>
      `trust: { provenance: [{ plugins: [weather], issuer: "${ISSUER}", subject: "${subject}" }] }`;
    expect(parseConfig(config(`${REPOSITORY}*`)).trust.provenance).toHaveLength(1);
    for (const odd of ["*", "https://github.com/acme*", "https://github.com/*/weather"]) {
      expect(() => parseConfig(config(odd))).toThrow(expect.objectContaining({ code: "config_invalid" }));
    }
    expect(() => parseConfig('trust: { provenance: [{ plugins: ["**"], issuer: "x", subject: "y" }] }')).toThrow(
      expect.objectContaining({ code: "config_invalid" }),
    );
  });
});
