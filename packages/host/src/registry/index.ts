export { openArchive } from "./archive.ts";
export { writeArchive } from "./archive-write.ts";
export { type Bundle, type BundleOptions, bundlePlugin } from "./bundle.ts";
export type { Runnable } from "./code.ts";
export { type ContentStore, type ContentStoreOptions, createContentStore } from "./content-store.ts";
export { type ReadSourceOptions, readSource, type SourceTree } from "./directory.ts";
export type { ImportWarning } from "./import-checks.ts";
export { type InstalledSource, type InstallPorts, installSource, type InstallStep } from "./install-source.ts";
export { SOURCE_LIMITS, type SourceLimits } from "./limits.ts";
export { openSource } from "./open-source.ts";
export { BUNDLE_PATH, isPacked, type OpenedSource, RESERVED_FOLDER, SOURCE_MAP_PATH } from "./opened.ts";
export { currentOwnership, type Ownership } from "./ownership.ts";
export { type PackedPlugin, packPlugin } from "./pack.ts";
export {
  type ManifestFile,
  type PreparedPlugin,
  type PreparePorts,
  preparePlugin,
  type ReadManifest,
} from "./prepare.ts";
export type { SourceFile } from "./walk.ts";
export {
  isPinned,
  parseSourceSpec,
  type ResolvedSource,
  type SourcePromise,
  type SourceRecord,
  type SourceSpec,
  writeSourceRecord,
} from "./source-spec.ts";
