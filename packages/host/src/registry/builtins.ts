import type { OnLoadArgs, OnLoadResult, OnResolveArgs, OnResolveResult } from "esbuild";

/**
 * Modules of Node's that a bundle may import. The engine has them, they work without permissions and files (measured inside the
 * sandbox), and none of them reaches outside the process.
 */
export const SERVED_BUILTINS: readonly string[] = [
  "assert",
  "async_hooks",
  "buffer",
  "crypto",
  "diagnostics_channel",
  "events",
  "path",
  "punycode",
  "querystring",
  "stream",
  "stream/promises",
  "stream/web",
  "string_decoder",
  "timers",
  "timers/promises",
  "url",
  "util",
  "zlib",
];

/** For `require`: a CommonJS module whose exports are the default export of the second, which is the one import that stays. */
export const SERVED = "node-require";
export const SERVED_DEFAULT = "node-default";

export function isServed(specifier: string): boolean {
  return SERVED_BUILTINS.includes(bare(specifier));
}

/** Where an import of a served module leads: it stays an import, or becomes one when it is a `require`. */
export function serve(args: OnResolveArgs): OnResolveResult {
  if (args.namespace === SERVED) return { path: bare(args.path), namespace: SERVED_DEFAULT };
  if (args.kind === "require-call") return { path: bare(args.path), namespace: SERVED };
  return { path: `node:${bare(args.path)}`, external: true };
}

export function loadServed({ namespace, path }: OnLoadArgs): OnLoadResult {
  const quoted = JSON.stringify(path);
  return namespace === SERVED
    ? { contents: `module.exports = require(${quoted}).default;`, loader: "js" }
    : { contents: `export { default } from ${quoted};`, loader: "js" };
}

function bare(specifier: string): string {
  return specifier.replace(/^node:/, "");
}
