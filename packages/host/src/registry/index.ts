export { type Bundle, type BundleOptions, bundlePlugin } from "./bundle.ts";
export { type ContentStore, type ContentStoreOptions, createContentStore } from "./content-store.ts";
export { type ReadSourceOptions, readSource, type SourceTree } from "./directory.ts";
export type { ImportWarning } from "./import-checks.ts";
export {
  type InstalledSource,
  type InstallPorts,
  installSource,
  type InstallStep,
  type ManifestFile,
  type ReadManifest,
} from "./install-source.ts";
export { SOURCE_LIMITS, type SourceLimits } from "./limits.ts";
export {
  BUNDLE_PATH,
  isPacked,
  type OpenedSource,
  RESERVED_FOLDER,
  SIGNATURES_FOLDER,
  SOURCE_MAP_PATH,
} from "./opened.ts";
export { currentOwnership, type Ownership } from "./ownership.ts";
export type { SourceFile } from "./walk.ts";
