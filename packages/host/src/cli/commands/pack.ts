import { rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import { createProgressBar } from "../render/index.ts";
import type { Session } from "../session.ts";
import { text } from "./define.ts";
import { findingLines } from "./vet.ts";

/** Writes a plugin as one archive; findings of severity `error` keep it from being written. */
export async function pack(
  session: Session,
  [dir = "."]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [{ openSource, packPlugin }, { findManifest, readManifest }, { findingsOf, passes }] = await Promise.all([
    import("../../registry/index.ts"),
    import("../../manifest/index.ts"),
    import("../../vet/index.ts"),
  ]);
  const bar = createProgressBar(session.io.stderr);
  const steps = ["read", "manifest", "bundle", "archive"];
  const step = (name: string): void => bar.update({ name, index: steps.indexOf(name), of: steps.length });
  step("read");
  const packed = await openSource(resolve(dir))
    .then((source) => packPlugin(source, { findManifest, readManifest }, step))
    .finally(() => bar.end());
  const { manifest } = packed.prepared;
  const findings = findingsOf({ ...packed.prepared, files: packed.files });
  if (!passes(findings, "default")) {
    const errors = findings.filter(({ severity }) => severity === "error");
    throw new SallyportError(
      "source_unsafe",
      `${manifest.id} ${manifest.version} is not packed: ${errors.length} findings are errors.`,
      {
        detail: errors
          .map(({ file, line, message }) => `${file}${line === null ? "" : `:${line}`} ${message}`)
          .slice(0, 5)
          .join(" "),
        fix: "See them all with: sallyport plugin vet",
        data: { findings: errors },
      },
    );
  }
  const file = resolve(text(options, "out") ?? `${manifest.id.replace("/", "-")}-${manifest.version}.tgz`);
  await writeWhole(file, packed.archive);
  const { treeDigest, codeDigest, archiveDigest, integrity } = packed;
  const answer = {
    success: true,
    file,
    id: manifest.id,
    version: manifest.version,
    bytes: packed.archive.length,
    tree_digest: treeDigest,
    code_digest: codeDigest,
    archive_digest: archiveDigest,
    integrity,
    files: packed.files.map(({ path, size }) => ({ path, size })),
    findings,
  };
  session.print(answer, () =>
    [
      `${session.style.good("✔")} Packed ${displayLine(manifest.id)} ${manifest.version}: ${packed.archive.length} bytes in ${displayLine(file, 500)}\n`,
      ...packed.files.map(({ path, size }) => `  ${displayLine(path)} (${size} bytes)\n`),
      `tree digest:  ${treeDigest}\ncode digest:  ${codeDigest}\n`,
      findingLines(
        session,
        findings.filter(({ severity }) => severity === "warning"),
      ),
      `Next: sallyport plugin sign ${displayLine(file, 500)} --key NAME\n`,
    ].join(""),
  );
}

/** All of it or nothing, whatever happens meanwhile. */
async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const part = join(dirname(file), `.${process.pid}-${Date.now()}.part`);
  try {
    await writeFile(part, bytes, { flag: "wx", mode: 0o644 });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new SallyportError("usage", `The archive cannot be written to ${displayLine(file, 500)} (${code}).`, {
      fix: "Name a file in a folder that exists and is yours, with --out.",
      cause: error,
    });
  }
}
