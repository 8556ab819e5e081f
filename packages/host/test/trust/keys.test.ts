import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  checkSeal,
  exportSigningKey,
  generateSigningKey,
  importSigningKey,
  isEncryptedKey,
  isSignedBy,
  parseKeyId,
  parseKeyScope,
  readEnvelope,
  readPayload,
  readRotation,
  readSealKeys,
  scopesName,
  sealOf,
  signEnvelope,
  signPlugin,
  writeEnvelope,
  writeRotation,
} from "../../src/trust/index.ts";
import { ACME, MALLORY, subjectOf } from "./support.ts";

const text = (raw: Uint8Array): string => `ed25519:${Buffer.from(raw).toString("base64url")}`;
const refused = (work: () => unknown, code: string): void => expect(work).toThrow(expect.objectContaining({ code }));

describe("keys", () => {
  it("survive their file, encrypted or not", () => {
    for (const passphrase of [undefined, "correct horse"]) {
      const pem = exportSigningKey(ACME, passphrase);
      expect(isEncryptedKey(pem)).toBe(passphrase !== undefined);
      expect(importSigningKey(pem, passphrase).id).toBe(ACME.id);
    }
    const encrypted = exportSigningKey(ACME, "correct horse");
    refused(() => importSigningKey(encrypted, "wrong"), "usage");
    refused(() => importSigningKey(encrypted), "usage");
  });

  it("are Ed25519 and nothing else", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    refused(() => importSigningKey(privateKey.export({ type: "pkcs8", format: "pem" }).toString()), "usage");
    refused(() => importSigningKey("no key"), "usage");
  });

  it("are refused when they are weak, or another spelling of one that is not", () => {
    const point = (hex: string): Buffer => Buffer.from(hex, "hex");
    const zeros = "00".repeat(31);
    const weak = [
      point(`00${zeros}`),
      point(`01${zeros}`),
      point(`01${"00".repeat(30)}80`),
      point(`ec${"ff".repeat(30)}7f`),
      point(`ed${"ff".repeat(30)}7f`),
      point(`ee${"ff".repeat(30)}7f`),
      point(`ff${"ff".repeat(30)}ff`),
      point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
      point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
      point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ];
    for (const raw of weak) refused(() => parseKeyId(text(raw)), "usage");
    expect(parseKeyId(ACME.id)).toBe(ACME.id);
    for (const odd of [
      "",
      "ed25519:",
      ACME.id.toUpperCase(),
      `${ACME.id}=`,
      `${ACME.id} `,
      ACME.id.replace("ed25519", "rsa"),
    ]) {
      refused(() => parseKeyId(odd), "usage");
    }
    // 43 characters hold 258 bits: the last two must be zero, or one key would have four names.
    const last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const at = last.indexOf(ACME.id.at(-1) ?? "");
    refused(() => parseKeyId(`${ACME.id.slice(0, -1)}${last[at + 1]}`), "usage");
  });

  it("do not verify a second spelling of a signature", () => {
    const envelope = signPlugin(subjectOf(), [ACME]);
    const [signature] = envelope.signatures;
    if (!signature) throw new Error("a key makes a signature");
    expect(isSignedBy(envelope, signature, ACME.id)).toBe(true);
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(signature.sig.slice(32).toReversed()).toString("hex")}`);
    const more = Buffer.from((s + order).toString(16).padStart(64, "0"), "hex").toReversed();
    const malleated = { ...signature, sig: Buffer.concat([signature.sig.slice(0, 32), more]) };
    expect(isSignedBy(envelope, malleated, ACME.id)).toBe(false);
    expect(isSignedBy(envelope, signature, MALLORY.id)).toBe(false);
    expect(isSignedBy(envelope, { ...signature, sig: signature.sig.slice(1) }, ACME.id)).toBe(false);
  });
});

describe("an envelope of another kind", () => {
  const type = "application/vnd.sallyport.test+json";

  it("is read back as it was signed, and only as what it is", () => {
    const written = writeEnvelope(signEnvelope(type, Buffer.from('{"a":1}'), [ACME]));
    const envelope = readEnvelope(written, type);
    expect(readPayload(envelope)).toEqual({ a: 1 });
    expect(envelope.signatures.map((signature) => isSignedBy(envelope, signature, ACME.id))).toEqual([true]);
    refused(() => readEnvelope(written, "application/vnd.in-toto+json"), "signature_invalid");
  });

  it("holds canonical JSON and nothing else", () => {
    for (const payload of [
      '{"a":1,"a":2}',
      '{"b":1,"a":1}',
      '{ "a":1}',
      '{"a":1.0}',
      "\u00ff",
      '{"__proto__":1}',
      "",
    ]) {
      const envelope = signEnvelope(type, Buffer.from(payload), [ACME]);
      refused(() => readPayload(envelope), "signature_invalid");
    }
    refused(() => readPayload(signEnvelope(type, Buffer.from([0x22, 0xff, 0x22]), [ACME])), "signature_invalid");
  });
});

describe("scopes of a key", () => {
  it("name ids, all of a publisher's, or any", () => {
    expect(scopesName(["*"], "weather")).toBe(true);
    expect(scopesName(["acme/*"], "acme/weather")).toBe(true);
    for (const [scope, id] of [
      ["acme/*", "acme-evil/weather"],
      ["acme/*", "acme"],
      ["weather", "weather-2"],
      ["weather", "acme/weather"],
    ] as const) {
      expect(scopesName([scope], id)).toBe(false);
    }
    expect(scopesName([], "weather")).toBe(false);
    for (const odd of ["", "a*", "*/weather", "acme/", "Acme/*", "acme/*/x", "../x", "**"])
      refused(() => parseKeyScope(odd), "usage");
  });
});

describe("a rotation", () => {
  const next = generateSigningKey();

  it("is signed by the old key and the new one", () => {
    expect(readRotation(writeRotation(ACME, next))).toEqual({ from: ACME.id, to: next.id });
    refused(() => writeRotation(ACME, ACME), "usage");
  });

  it("is refused without either signature, by a third key, or under another type", () => {
    const type = "application/vnd.sallyport.key-rotation+json";
    const payload = (from: string, to: string): Buffer => Buffer.from(`{"from":"${from}","to":"${to}"}`);
    for (const keys of [[ACME], [next], [ACME, MALLORY], [MALLORY, next], [ACME, next, MALLORY]]) {
      const odd = writeEnvelope(signEnvelope(type, payload(ACME.id, next.id), keys));
      refused(() => readRotation(odd), "signature_invalid");
    }
    refused(
      () => readRotation(writeEnvelope(signEnvelope(type, payload(ACME.id, "ed25519:x"), [ACME, next]))),
      "signature_invalid",
    );
    refused(
      () => readRotation(writeEnvelope(signEnvelope("text/plain", payload(ACME.id, next.id), [ACME, next]))),
      "signature_invalid",
    );
    refused(() => readRotation(writeEnvelope(signPlugin(subjectOf(), [ACME, next]))), "signature_invalid");
  });
});

describe("the host seal", () => {
  const current = Buffer.from("0123456789abcdef0123456789abcdef");
  const previous = Buffer.from("fedcba9876543210fedcba9876543210");
  const record = { id: "weather", version: "1.2.0" };

  it("has its key from PLUGIN_SECRET_KEY, of at least 32 bytes, and no default [S3-97]", () => {
    expect(readSealKeys({})).toBeUndefined();
    expect(readSealKeys({ PLUGIN_SECRET_KEY: "" })).toBeUndefined();
    refused(() => readSealKeys({ PLUGIN_SECRET_KEY: "x".repeat(31) }), "usage");
    refused(() => readSealKeys({ PLUGIN_SECRET_KEY: "x".repeat(32), PLUGIN_SECRET_KEY_PREVIOUS: "short" }), "usage");
    expect(readSealKeys({ PLUGIN_SECRET_KEY: "x".repeat(32) })?.current).toEqual(Buffer.from("x".repeat(32)));
    // The key before alone seals nothing: what it checks would never be sealed anew.
    refused(() => readSealKeys({ PLUGIN_SECRET_KEY_PREVIOUS: "x".repeat(32) }), "usage");
  });

  it("holds for one record, one kind and one key [S3-2] [S3-27]", () => {
    const seal = sealOf("grant", record, current);
    expect(checkSeal("grant", record, seal, { current })).toBe("current");
    expect(checkSeal("grant", { version: "1.2.0", id: "weather" }, seal, { current })).toBe("current");
    expect(checkSeal("plugin", record, seal, { current })).toBeUndefined();
    expect(checkSeal("grant", { ...record, version: "1.2.1" }, seal, { current })).toBeUndefined();
    expect(checkSeal("grant", { ...record, more: null }, seal, { current })).toBeUndefined();
    expect(checkSeal("grant", record, seal, { current: previous })).toBeUndefined();
    expect(checkSeal("grant", record, seal, { current: previous, previous: current })).toBe("previous");
    for (const odd of [
      null,
      undefined,
      "",
      seal.slice(1),
      seal.toUpperCase(),
      `${seal.slice(0, -1)}${seal.endsWith("0") ? "1" : "0"}`,
    ]) {
      expect(checkSeal("grant", record, odd, { current })).toBeUndefined();
    }
  });
});
