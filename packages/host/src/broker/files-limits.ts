/** Bounds of a plugin's work on files. Bytes, unless the name says otherwise. */
export interface FileLimits {
  /** One read and one write at most; a larger file takes several. */
  readonly chunkBytes: number;
  /** A file that a plugin writes. */
  readonly fileBytes: number;
  /** All that one call reads and writes together. */
  readonly callBytes: number;
  readonly entries: number;
  /** The plugin's own directory. */
  readonly dataBytes: number;
  readonly dataFiles: number;
}

export const FILE_LIMITS: FileLimits = {
  chunkBytes: 1024 * 1024,
  fileBytes: 64 * 1024 * 1024,
  callBytes: 256 * 1024 * 1024,
  entries: 2_000,
  dataBytes: 64 * 1024 * 1024,
  dataFiles: 10_000,
};
