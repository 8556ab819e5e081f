import { describe, expect, it } from "vitest";
import {
  decideTrust,
  preAuthEncoding,
  readPluginSignature,
  sealPlugin,
  signEnvelope,
  signPlugin,
  type TrustContext,
  type TrustEvidence,
  type TrustSubject,
  writeEnvelope,
} from "../../src/trust/index.ts";
import { ACME, contextOf, DAY, FILES, MALLORY, NOW, signed, STRICT, subjectOf, trusted } from "./support.ts";

const subject = subjectOf();
const good = signed(subject, ACME);
const believed = contextOf({ keys: [trusted(ACME)] });

async function refusal(evidence: TrustEvidence, context: TrustContext = believed, about: TrustSubject = subject) {
  const { verdict, refusal: found, publisherKey } = await decideTrust(about, evidence, context);
  expect(publisherKey).toBeUndefined();
  return verdict === "refused" ? found?.code : verdict;
}

/** The same, where a signature is only preferred: what is refused there is refused for being wrong. */
const lowRisk = subjectOf(FILES, { risk: "low" });

describe("decideTrust", () => {
  it("believes a signature by a trusted key over exactly these bytes, and says by whom [S3-3] [S3-85]", async () => {
    const decision = await decideTrust(subject, { signature: good }, believed);
    expect(decision).toMatchObject({
      verdict: "verified",
      requirement: "required",
      risk: "high",
      publisherKey: ACME.id,
      signer: { key: ACME.id, name: "Acme", trusted: true },
      missing: [],
    });
    expect(decision.evidence.map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      "digest verified",
      "signature verified",
      "provenance absent",
    ]);
    expect(decision.refusal).toBeUndefined();
  });

  it("believes it tomorrow and in ten years too: no time is in a signature", async () => {
    for (const now of [0, NOW + DAY, NOW + 3650 * DAY]) {
      const decision = await decideTrust(subject, { signature: good }, { ...believed, now });
      expect(decision.verdict).toBe("verified");
    }
  });

  it("refuses what is not signed wherever its risk requires it, and says what is missing [S4-63]", async () => {
    for (const source of ["archive", "index", "npm", undefined] as const) {
      for (const risk of ["medium", "high", "critical"] as const) {
        const about = subjectOf(FILES, { source, risk });
        expect(await refusal({}, believed, about)).toBe("signature_required");
        expect((await decideTrust(about, {}, believed)).missing).toEqual(["signature", "provenance"]);
      }
      expect(await refusal({}, believed, subjectOf(FILES, { source, risk: "low" }))).toBe("unverified");
    }
  });

  it("lets a directory of this machine come unsigned, unless the operator says otherwise", async () => {
    const local = subjectOf(FILES, { source: "directory", risk: "critical" });
    expect(await refusal({}, believed, local)).toBe("unverified");
    const stricter = contextOf({ policy: { ...STRICT, unsignedDirectories: false } });
    expect(await refusal({}, stricter, local)).toBe("signature_required");
  });

  it("counts a sound signature by a stranger as nothing, and names the key", async () => {
    const stranger = { signature: signed(subject, MALLORY) };
    expect(await refusal(stranger)).toBe("signature_required");
    expect(await refusal(stranger, believed, lowRisk)).toBe("unverified");
    const { signer, refusal: found } = await decideTrust(subject, stranger, believed);
    expect(signer).toEqual({ key: MALLORY.id, trusted: false });
    expect(found?.fix).toContain(`sallyport key trust NAME ${MALLORY.id}`);
  });

  it("counts a key as nothing from the moment its time is over", async () => {
    const keys = [trusted(ACME, { expiresAt: NOW })];
    expect(await refusal({ signature: good }, contextOf({ keys }))).toBe("signature_required");
    const before = await decideTrust(subject, { signature: good }, contextOf({ keys, now: NOW - 1 }));
    expect(before.verdict).toBe("verified");
  });

  it("refuses a key out of its scope, even where no signature is required", async () => {
    for (const scopes of [["acme/*"], ["weather-two"], ["weather/*"]]) {
      const context = contextOf({ keys: [trusted(ACME, { scopes })] });
      const evidence = { signature: signed(lowRisk, ACME) };
      expect(await refusal(evidence, context, lowRisk)).toBe("signature_invalid");
    }
  });

  it("refuses a revoked key, trusted or not, even where no signature is required", async () => {
    const isRevoked = (key: string): boolean => key === ACME.id;
    for (const keys of [[trusted(ACME)], []]) {
      expect(await refusal({ signature: good }, contextOf({ keys, isRevoked }))).toBe("revoked");
      expect(await refusal({ signature: good }, contextOf({ keys, isRevoked }), lowRisk)).toBe("revoked");
    }
  });

  it("refuses the signature of another plugin, version, manifest or tree [S3-4]", async () => {
    for (const other of [
      { id: "weather-two" },
      { version: "1.2.1" },
      { manifestDigest: subjectOf({ ...FILES, "plugin.yml": "x" }).manifestDigest },
      { treeDigest: subjectOf({ ...FILES, "README.md": "x" }).treeDigest },
    ]) {
      const transplanted = { signature: signed({ ...subject, ...other }, ACME) };
      expect(await refusal(transplanted)).toBe("signature_invalid");
      expect(await refusal(transplanted, believed, lowRisk)).toBe("signature_invalid");
    }
  });

  it("refuses bytes that another key signed in the trusted one's name", async () => {
    const { payloadType, payload, signatures } = signPlugin(subject, [MALLORY]);
    const renamed = writeEnvelope({
      payloadType,
      payload,
      signatures: signatures.map((one) => ({ ...one, keyid: ACME.id })),
    });
    expect(await refusal({ signature: renamed })).toBe("signature_invalid");
    expect(await refusal({ signature: renamed }, believed, lowRisk)).toBe("signature_invalid");
  });

  it("accepts any one of several signatures, and none of them when one is wrong", async () => {
    const both = await decideTrust(subject, { signature: signed(subject, MALLORY, ACME) }, believed);
    expect(both).toMatchObject({ verdict: "verified", publisherKey: ACME.id });
    const { payloadType, payload, signatures } = signPlugin(subject, [ACME, MALLORY]);
    const [first, second] = signatures;
    if (!first || !second) throw new Error("two keys make two signatures");
    const swapped = [first, { keyid: second.keyid, sig: first.sig }];
    expect(await refusal({ signature: writeEnvelope({ payloadType, payload, signatures: swapped }) })).toBe(
      "signature_invalid",
    );
  });

  it("refuses a payload signed under another type", async () => {
    const { payload } = signPlugin(subject, []);
    for (const type of ["application/json", "application/vnd.sallyport.key-rotation+json"]) {
      const other = signEnvelope(type, payload, [ACME]);
      expect(await refusal({ signature: writeEnvelope(other) })).toBe("signature_invalid");
      // The right type written over it does not make the signature one of that type.
      const relabelled = { ...other, payloadType: readPluginSignature(good).envelope.payloadType };
      expect(await refusal({ signature: writeEnvelope(relabelled) })).toBe("signature_invalid");
    }
  });

  it("refuses any other spelling of a signature file", async () => {
    const [sig] = readPluginSignature(good).envelope.signatures;
    const text = Buffer.from(sig?.sig ?? []).toString("base64");
    for (const odd of [
      "",
      "{}",
      "[]",
      "null",
      ` ${good}`,
      good.trimEnd(),
      `\uFEFF${good}`,
      good.replace('{"payload"', '{"extra":1,"payload"'),
      good.replace('{"payload"', '{"payload":"e30=","payload"'),
      good.replace('{"keyid"', '{"keyid":"x","keyid"'),
      good.replace(text, text.replace("==", "")),
      good.replace(text, `${text.slice(0, 10)}\\n${text.slice(10)}`),
      good.replace(/"signatures":\[.*\]/, '"signatures":[]'),
      good.replace(/"signatures":\[(.*)\]/, '"signatures":[$1,$1]'),
      "[".repeat(100_000),
      `${good}${" ".repeat(300_000)}`,
    ]) {
      expect(odd).not.toBe(good);
      expect(await refusal({ signature: odd }, believed, lowRisk), odd.slice(0, 80)).toBe("signature_invalid");
    }
  });

  it("refuses a signed statement that repeats a key or says more", async () => {
    const honest = Buffer.from(signPlugin(subject, []).payload).toString("utf8");
    for (const payload of [
      honest.replace('"version":"1.2.0"}', '"version":"9.9.9","version":"1.2.0"}'),
      honest.replace('{"_type"', '{"also":1,"_type"'),
      honest.replace(/("subject":\[)(.*)\]/, "$1$2,$2]"),
      honest.replace("plugin-signature:v1", "plugin-signature:v2"),
      honest.replace("weather@1.2.0", "weather@1.2.1"),
      ` ${honest}`,
    ]) {
      expect(payload).not.toBe(honest);
      const type = readPluginSignature(good).envelope.payloadType;
      const odd = writeEnvelope(signEnvelope(type, Buffer.from(payload), [ACME]));
      expect(await refusal({ signature: odd }), payload).toBe("signature_invalid");
    }
  });

  it("takes this host's seal for a signature, and no other host's [S3-2] [S3-27]", async () => {
    const own = { current: Buffer.from("0123456789abcdef0123456789abcdef") };
    const others = { current: Buffer.from("fedcba9876543210fedcba9876543210") };
    const { payloadType, payload } = signPlugin(subject, []);
    const sealed = {
      signature: writeEnvelope({ payloadType, payload, signatures: [sealPlugin(subject, own.current)] }),
    };
    const decision = await decideTrust(subject, sealed, contextOf({ sealKeys: own }));
    expect(decision.verdict).toBe("verified");
    expect(decision.publisherKey).toBeUndefined();
    expect(await refusal(sealed, contextOf({ sealKeys: others }))).toBe("signature_required");
    expect(await refusal(sealed, contextOf())).toBe("signature_required");
    const rotated = contextOf({ sealKeys: { current: others.current, previous: own.current } });
    expect((await decideTrust(subject, sealed, rotated)).verdict).toBe("verified");
    const [seal] = readPluginSignature(sealed.signature).envelope.signatures;
    const flipped = {
      keyid: seal?.keyid ?? "",
      sig: Buffer.from(seal?.sig ?? []).map((byte, index) => (index === 0 ? byte ^ 1 : byte)),
    };
    const wrong = { signature: writeEnvelope({ payloadType, payload, signatures: [flipped] }) };
    expect(await refusal(wrong, contextOf({ sealKeys: own }))).toBe("signature_invalid");
  });
});

describe("the pre-authentication encoding", () => {
  it("is the one of the DSSE specification", () => {
    const encoded = preAuthEncoding("http://example.com/HelloWorld", Buffer.from("hello world"));
    expect(encoded.toString()).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    expect(preAuthEncoding("é", Buffer.from("ü")).toString()).toBe("DSSEv1 2 é 2 ü");
  });
});
