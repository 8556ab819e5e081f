import { type ErrorCode, SallyportError } from "../kernel/index.ts";

const MEANINGS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ["not_found", "There is no such file or directory."],
  ENOTDIR: ["not_found", "A part of the path is no directory."],
  EEXIST: ["conflict", "Something is there already."],
  ENOTEMPTY: ["conflict", "The directory is not empty."],
  EISDIR: ["usage", "It is a directory."],
  EACCES: ["conflict", "The operating system does not let the host do this."],
  EPERM: ["conflict", "The operating system does not let the host do this."],
  EROFS: ["conflict", "The file system is read-only."],
  ENAMETOOLONG: ["usage", "A name is too long."],
  ENOSPC: ["quota_exceeded", "The disk is full."],
  EDQUOT: ["quota_exceeded", "The disk quota is full."],
};

/** What went wrong with a file, with the path as the plugin wrote it and no other. */
export function fileFailure(error: unknown, path: string): unknown {
  if (error instanceof SallyportError) return error;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const [known, detail] = MEANINGS[code] ?? ["internal", "The file system failed."];
  return new SallyportError(known, `${path}: ${detail}`, { cause: error });
}
