import { openSource, type ResolvedSource } from "../registry/index.ts";

/** A directory or an archive of this machine. */
export async function openPath(path: string): Promise<ResolvedSource> {
  const opened = await openSource(path);
  const learned = opened.kind === "archive" ? "archive-read-here" : "directory";
  return {
    opened,
    record: {
      kind: opened.kind,
      spec: path,
      registry: undefined,
      name: undefined,
      version: undefined,
      integrity: opened.integrity,
      learned,
      publishedAt: undefined,
    },
    provenance: undefined,
    promise: undefined,
    warnings: [],
  };
}
