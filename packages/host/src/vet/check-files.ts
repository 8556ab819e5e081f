import { fullToolName } from "../manifest/index.ts";
import type { SourceFile } from "../registry/index.ts";
import type { Finding, Subject } from "./types.ts";

const BUNDLE_BYTES = 1024 * 1024;
const TREE_BYTES = 10 * 1024 * 1024;
const MAGIC: readonly (readonly [kind: string, hex: string])[] = [
  ["an executable (ELF)", "7f454c46"],
  ["an executable for Windows", "4d5a9000"],
  ["an executable for macOS", "cffaedfe"],
  ["an executable for macOS", "cafebabe"],
  ["WebAssembly", "0061736d"],
];

/** Sizes, and code that no person can read. */
export function checkFiles(subject: Subject): readonly Finding[] {
  return [...sizes(subject), ...subject.files.flatMap((file) => nativeIn(file, subject))];
}

function sizes({ files, bundlePath }: Subject): readonly Finding[] {
  const bundle = files.find(({ path }) => path === bundlePath);
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const found: Finding[] = [];
  if (bundle !== undefined && bundle.size > BUNDLE_BYTES)
    found.push({
      rule: "size",
      severity: "warning",
      file: bundlePath,
      line: null,
      message: `is ${megabytes(bundle.size)}: nobody reads that much code, and it is loaded at each start.`,
      fix: "Import less, or smaller libraries.",
    });
  if (total > TREE_BYTES)
    found.push({
      rule: "size",
      severity: "warning",
      file: "",
      line: null,
      message: `The plugin is ${megabytes(total)} in all.`,
      fix: "Take out what it does not need to run, or publish what sallyport plugin pack makes.",
    });
  return found;
}

function nativeIn(file: SourceFile, { manifest, bundlePath }: Subject): readonly Finding[] {
  const head = Buffer.from(file.bytes.subarray(0, 4)).toString("hex");
  const kind =
    MAGIC.find(([, magic]) => magic === head)?.[0] ?? (/\.node$/i.test(file.path) ? "a native addon" : undefined);
  const isProgram = file.path === bundlePath && manifest.interpreter !== undefined;
  if (kind !== undefined)
    return [
      {
        rule: "native",
        severity: "warning",
        file: file.path,
        line: null,
        message: isProgram
          ? `is ${kind}, and is what runs: nobody can read what it does.`
          : `is ${kind}: nobody can read what it does.`,
        fix: "Ship source that people can read, or say in the README how it is built.",
      },
    ];
  if (isProgram || (file.mode & 0o100) === 0) return [];
  return [
    {
      rule: "native",
      severity: "note",
      file: file.path,
      line: null,
      message: "is marked as executable; nothing here executes it.",
      fix: "Take the mark off: chmod -x.",
    },
  ];
}

/** What the manifest says of its tools that agents or people could use better. */
export function checkTools({ manifest, manifestFile }: Subject): readonly Finding[] {
  const note = (message: string, fix: string): Finding => ({
    rule: "schema",
    severity: "note",
    file: manifestFile,
    line: null,
    message,
    fix,
  });
  return manifest.tools.flatMap(({ name, inputSchema, outputSchema }) => {
    const tool = fullToolName(manifest.id, name);
    const found: Finding[] = [];
    if (outputSchema === undefined)
      found.push(note(`${tool} has no output_schema: its answers are not checked.`, "Say what it answers."));
    if (typeof inputSchema === "object" && inputSchema["additionalProperties"] !== false)
      found.push(note(`${tool} takes inputs that its input_schema does not name.`, "Add additionalProperties: false."));
    return found;
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
