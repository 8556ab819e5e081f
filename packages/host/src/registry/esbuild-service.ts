import * as esbuild from "esbuild";

/** esbuild runs in one child process, shared by whoever bundles at the moment and ended when nobody does. */
let users = 0;

export async function withEsbuild<T>(work: (service: typeof esbuild) => Promise<T>): Promise<T> {
  users++;
  try {
    return await work(esbuild);
  } finally {
    users--;
    if (users === 0) await esbuild.stop();
  }
}
