import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach } from "vitest";

const made: string[] = [];

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** A fresh folder, gone after the test. */
export function temporaryFolder(): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "sallyport-test-")));
  made.push(path);
  return path;
}

export function writeFiles(root: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(root, path), text, { mode: 0o644 });
  }
  return root;
}

export function pluginFolder(files: Readonly<Record<string, string>>): string {
  return writeFiles(temporaryFolder(), files);
}

export const isRoot = process.geteuid?.() === 0;

/** What a promise was rejected with; fails when it was not. */
export async function refusal(
  work: Promise<unknown>,
): Promise<{ code?: string; message: string; fix?: string; data: Record<string, unknown> }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return Object.assign({ data: {} }, { message: error.message }, error);
  }
  throw new Error("It was accepted.");
}
