import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { displayLine, displayText, exitCodeOf, isErrorCode } from "../../kernel/index.ts";
import { readSealKeys } from "../../trust/index.ts";
import { verifyAnswer, type VerifyAnswerBody } from "../../wire/index.ts";
import { keyFile, readKeyFile } from "../key-files.ts";
import type { Session } from "../session.ts";
import { verifyAll } from "./verify-all.ts";
import { type CommandContext, flag, text, usage, verb } from "./define.ts";

type Options = Readonly<Record<string, unknown>>;

export function defineSigningCommands(plugin: Command, context: CommandContext): void {
  verb(
    plugin,
    context,
    "sign <source>",
    "sign a packed plugin: an archive, or a folder that holds its bundle",
    "sallyport plugin sign weather-1.2.0.tgz --key acme",
    sign,
  )
    .option("--key <key>", "name of a key of yours, or its file")
    .option("--seal", "sign with this host's PLUGIN_SECRET_KEY, for this host only")
    .option("--key-passphrase-file <file>", "file with the key's passphrase (or set SALLYPORT_KEY_PASSPHRASE)");
  verb(
    plugin,
    context,
    "verify [source]",
    "check who signed a plugin: an archive, a folder, or an installed one by its id; exits 5 unless somebody trusted did",
    "sallyport plugin verify weather-1.2.0.tgz",
    (session, args, options) =>
      flag(options, "all") ? verifyAll(session, context) : verify(session, args, options, context),
  )
    .option("--version <version>", "which installed version")
    .option("--all", "read every stored byte of every installed plugin, and stop what was changed");
}

async function sign(session: Session, [source = ""]: readonly string[], options: Options): Promise<void> {
  const named = text(options, "key");
  const seals = flag(options, "seal") ? readSealKeys(session.io.env) : undefined;
  if (flag(options, "seal") && !seals) {
    throw usage("PLUGIN_SECRET_KEY is not set.", "Set it to the key of the host that shall accept the seal.");
  }
  if (named === undefined && !seals) throw usage("With which key?", "Give --key NAME, --key ./FILE.pem or --seal.");
  const key =
    named === undefined
      ? undefined
      : await readKeyFile(session.io, keyFile(session.home, named), text(options, "keyPassphraseFile"));
  const { signAt } = await import("../sign-files.ts");
  const signed = await signAt(resolve(source), { key, sealKey: seals?.current });
  session.print(
    {
      success: true,
      id: signed.id,
      version: signed.version,
      digest: signed.treeDigest,
      manifest_digest: signed.manifestDigest,
      file: signed.file,
      keys: signed.keys,
    },
    () =>
      [
        `${session.style.good("✔")} Signed ${displayLine(signed.id)} ${displayLine(signed.version)} (${signed.treeDigest})\n`,
        ...signed.keys.map((one) => `  by ${displayLine(one)}\n`),
        `Check it: sallyport plugin verify ${displayLine(source, 500)}\n`,
      ].join(""),
  );
}

async function verify(
  session: Session,
  [source = ""]: readonly string[],
  options: Options,
  context: CommandContext,
): Promise<void> {
  if (source === "") throw usage("Which plugin?", "Give an archive, a folder or an id, or --all.");
  const path = resolve(source);
  const version = text(options, "version");
  const onDisk = version === undefined && existsSync(path);
  const body = onDisk ? { source: path } : { id: source, ...(version !== undefined && { version }) };
  const answer = await session.get(verifyAnswer, "POST", "/api/plugins/verify", { body });
  const { trust } = answer;
  const good = trust.verdict === "verified";
  if (!good) {
    const code = trust.code ?? "signature_required";
    context.exitWith(exitCodeOf(isErrorCode(code) && exitCodeOf(code) === 5 ? code : "signature_required"));
  }
  session.print({ success: good, ...answer }, () =>
    report(session, answer, onDisk ? displayLine(path, 500) : "as installed"),
  );
}

const MARKS = { verified: "✔", untrusted: "?", absent: "–", invalid: "✘" } as const;

function report(session: Session, { id, version, digest, trust }: VerifyAnswerBody, where: string): string {
  const { style } = session;
  const verdict =
    trust.verdict === "verified"
      ? style.good("verified")
      : trust.verdict === "refused"
        ? style.bad("refused")
        : style.warn("not verified, and accepted here all the same");
  return [
    `${displayLine(id)} ${displayLine(version)} (${where}): ${verdict}\n`,
    `  ${digest}\n`,
    `  risk ${trust.risk}; a signature is ${trust.requirement}\n`,
    ...trust.evidence.map((item) => `  ${MARKS[item.state]} ${item.kind}: ${displayText(item.detail, 600)}\n`),
    ...trust.reasons.slice(0, 1).map((reason) => `${displayText(reason, 600)}\n`),
    ...(trust.missing.length === 0 ? [] : [`Missing: ${trust.missing.join(" or ")}\n`]),
    ...(trust.fix === undefined ? [] : [`${displayText(trust.fix, 600)}\n`]),
  ].join("");
}
