/** Bounds on what is taken from a plugin's directory. Bytes, unless the name says otherwise. */
export interface SourceLimits {
  /** Files, and separately entries of any kind that are looked at. */
  readonly files: number;
  readonly totalBytes: number;
  readonly fileBytes: number;
  /** Folders below one another. */
  readonly depth: number;
  /** One path below the root, in UTF-8. */
  readonly pathBytes: number;
}

export const SOURCE_LIMITS: SourceLimits = {
  files: 5_000,
  totalBytes: 64 * 1024 * 1024,
  fileBytes: 16 * 1024 * 1024,
  depth: 16,
  pathBytes: 512,
};

/** The bundle that runs, and one source file or dependency that goes into it. */
export const BUNDLE_BYTES = 8 * 1024 * 1024;
export const MODULE_BYTES = 4 * 1024 * 1024;
/** Brackets open at once in one module. The bundler recurses: a million of them cost it a gigabyte and its life. */
export const MODULE_NESTING = 5_000;
export const BUNDLE_DEADLINE_MS = 60_000;

/** A shipped `config.yml|yaml|json`. */
export const DEFAULTS_BYTES = 64 * 1024;
