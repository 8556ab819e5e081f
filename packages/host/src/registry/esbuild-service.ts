import type * as Esbuild from "esbuild";

/** esbuild runs in one child process, shared by whoever bundles at the moment and ended when nobody does. */
let users = 0;

export async function withEsbuild<T>(work: (service: typeof Esbuild) => Promise<T>): Promise<T> {
  // Most hosts never bundle, and it takes ten megabytes.
  const esbuild = await import("esbuild");
  users++;
  try {
    return await work(esbuild);
  } finally {
    users--;
    if (users === 0) await esbuild.stop();
  }
}
