import { displayLine, SallyportError } from "../kernel/index.ts";
import type { SourceTree } from "./directory.ts";

const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/**
 * What a program runs is one of its own files, unchanged. An executable has to be one for Linux, with its mode set: a text
 * that names its own interpreter would be a command line of the plugin's.
 * @throws {SallyportError} `entry_invalid`.
 */
export function programCode(tree: SourceTree, entry: string, interpreter: string) {
  const file = tree.files.find(({ path }) => path === entry);
  if (file === undefined) throw invalid(entry, "is no file of the plugin", "Correct entry in the manifest.");
  if (interpreter === "none") {
    if ((file.mode & 0o100) === 0)
      throw invalid(entry, "is not executable", "Run chmod u+x on it, or name an interpreter.");
    if (!ELF.equals(file.bytes.subarray(0, ELF.length)))
      throw invalid(entry, "is no executable for Linux (ELF)", "Name what runs it, as in interpreter: python.");
  }
  const warning = "This is a program of its own: its code was not looked at, and runs without the JavaScript layer.";
  return { bundlePath: entry, added: [], warnings: [warning] };
}

function invalid(entry: string, problem: string, fix: string): SallyportError {
  return new SallyportError("entry_invalid", `The entry "${displayLine(entry)}" ${problem}.`, {
    detail: "A program's entry is a file below the plugin's root, outside node_modules.",
    fix,
    data: { file: displayLine(entry) },
  });
}
