export { openArchive } from "./archive.ts";
export { writeArchive } from "./archive-write.ts";
export { type Bundle, type BundleOptions, bundlePlugin } from "./bundle.ts";
export type { Runnable } from "./code.ts";
export { type ContentStore, type ContentStoreOptions, createContentStore } from "./content-store.ts";
export { type ReadSourceOptions, readSource, type SourceTree } from "./directory.ts";
export type { ImportWarning } from "./import-checks.ts";
export { importTrees } from "./import-trees.ts";
export { type InstalledSource, type InstallPorts, installSource, type InstallStep } from "./install-source.ts";
export { SOURCE_LIMITS, type SourceLimits } from "./limits.ts";
export {
  type Lock,
  LOCK_BYTES,
  LOCK_FILE,
  type LockDifference,
  lockDifferences,
  type LockEntry,
  lockEntrySchema,
  lockKey,
  readLock,
  writeLock,
} from "./lock-format.ts";
export { openSource } from "./open-source.ts";
export { BUNDLE_PATH, isPacked, type OpenedSource, RESERVED_FOLDER, SOURCE_MAP_PATH } from "./opened.ts";
export { currentOwnership, type Ownership } from "./ownership.ts";
export { type PackedPlugin, packPlugin } from "./pack.ts";
export {
  type ManifestFile,
  manifestOf,
  type PreparedPlugin,
  type PreparePorts,
  preparePlugin,
  type ReadManifest,
} from "./prepare.ts";
export { stampTree, type TreeStamp } from "./tree-stamp.ts";
export type { SourceFile } from "./walk.ts";
export { chooseVersion, type VersionOffer, type VersionWish } from "./choose-version.ts";
export { type BuildOptions, type BuiltIndex, buildIndex } from "./index-build.ts";
export { createIndexClient, type IndexClient, type IndexRegistry, type LoadedIndex } from "./index-client.ts";
export { type IndexEntry, POINTER_FILE, registryName, type RegistryPointer } from "./index-format.ts";
export {
  fetchNpmArchive,
  fetchProvenance,
  type NpmRegistry,
  PUBLIC_NPM,
  rangeOfTag,
  readNpmPackage,
} from "./npm-source.ts";
export { type Published, publishTo } from "./publish.ts";
export { parseRegistryPlace, type RegistryPlace } from "./registry-reader.ts";
export { createRegistryApp } from "./serve.ts";
export { createSearchIndex, type SearchHit, type SearchIndex } from "./search.ts";
export type { WebLimits, WebPorts } from "./web-get.ts";
export {
  isPinned,
  parseSourceSpec,
  type ResolvedSource,
  type SourcePromise,
  type SourceRecord,
  type SourceSpec,
  writeSourceRecord,
} from "./source-spec.ts";
