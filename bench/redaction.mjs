/**
 * What the gate for plugins' words costs: known secrets taken out of 1 MB, with 10 and with 1,000 secrets in all their spellings,
 * against the plain way, `split` and `join` for each spelling; and the whole gate (schema apart) for 1 MB and for an echo, against
 * what any host has to do, canonical JSON and its digest. Usage: npm run bench -- redaction [--quick]
 */
import { createHash, randomBytes } from "node:crypto";
import { openCredentials } from "../packages/host/dist/host/credentials.js";
import { createOutputGate } from "../packages/host/dist/host/outputs.js";
import { canonicalJson } from "../packages/host/dist/kernel/index.js";
import { createRedactor, secretForms } from "../packages/host/dist/secrets/index.js";
import { show } from "./measure.mjs";

const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 5 : 21;
const MILLION = 1024 * 1024;
const SMALL = 2_000;

const secretsOf = (count) =>
  Array.from({ length: count }, (_, index) => ({
    name: `KEY_${index}`,
    value: `sk-live/${randomBytes(20).toString("base64")}`,
  }));

/** Rows as an API answers them: words, numbers, addresses, and some base64 that looks like a secret and is none. */
function rows(bytes) {
  const all = [];
  for (let size = 0, id = 0; size < bytes; id++) {
    const row = {
      id,
      name: `user ${id}`,
      url: `https://example.com/u/${id}`,
      etag: randomBytes(20).toString("base64"),
    };
    all.push(row);
    size += JSON.stringify(row).length + 1;
  }
  return all;
}

const value = { rows: rows(MILLION - 5_000) };
const text = JSON.stringify(value);
const echo = { text: "x".repeat(100) };
const credentials = await openCredentials();
const gateOf = (secrets, masks) =>
  createOutputGate({ redactor: createRedactor(() => secrets), credentials, masks: () => masks });
const route = { name: "bench__tool", output: null };

/** Milliseconds of each round, after some that do not count. */
function times(run, { times: each = 1, rounds = ROUNDS } = {}) {
  const seen = [];
  for (let round = -3; round < rounds; round++) {
    const start = performance.now();
    for (let n = 0; n < each; n++) run();
    if (round >= 0) seen.push((performance.now() - start) / each);
  }
  return seen;
}

console.log(`  1 MB of JSON text (${text.length} characters)`);
for (const count of [10, 1000]) {
  const secrets = secretsOf(count);
  const forms = secrets.flatMap((secret) => secretForms(secret.value));
  const { redactText, redactJson } = createRedactor(() => secrets);
  const built = times(() => createRedactor(() => secrets).redactText("a short text"), { rounds: 5 });
  const plain = () => {
    let out = text;
    for (const form of forms) out = out.split(form).join("[secret]");
    return out;
  };
  console.log(`  ${count} secrets in ${forms.length} spellings`);
  const peer = times(plain, { rounds: count === 10 ? ROUNDS : 3 });
  show("peer: split and join for each", peer, "ms");
  show(
    "text, nothing found",
    times(() => redactText(text)),
    "ms",
    peer,
  );
  const found = text.replaceAll("https://example.com/u/", () => `https://example.com/${secrets[0].value}/`);
  show(
    "text, found in every row",
    times(() => redactText(found)),
    "ms",
    peer,
  );
  const beginning = "sk-live/".repeat(MILLION / 8);
  show(
    "text of their common beginning alone",
    times(() => redactText(beginning)),
    "ms",
    peer,
  );
  show(
    "the same value as an object",
    times(() => redactJson(value)),
    "ms",
    peer,
  );
  show("made ready, once for each change", built, "ms");
}

const secrets = secretsOf(10);
console.log("  the whole gate, 10 secrets");
for (const { what, output, options } of [
  { what: "1 MB", output: value, options: {} },
  { what: "an echo of 100 bytes", output: echo, options: { times: SMALL } },
]) {
  const digest = () => createHash("sha256").update(canonicalJson(output)).digest("hex");
  const peer = times(digest, options).map((ms) => ms * 1000);
  show(`peer: canonical JSON and digest, ${what}`, peer, "µs");
  for (const { how, gate } of [
    { how: "the gate", gate: gateOf(secrets, true) },
    { how: "without a look for credentials", gate: gateOf(secrets, false) },
  ]) {
    const seen = times(() => gate.accept(route, { output, bytes: 1 }), options).map((ms) => ms * 1000);
    show(`${how}, ${what}`, seen, "µs", peer);
  }
}
