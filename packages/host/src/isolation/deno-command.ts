import type { SandboxSpec } from "./types.ts";

/** Nothing outside the process is asked or loaded: no prompt, configuration, lock file, npm, or remote module. */
export const CLOSED = ["--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote", "--cached-only"];

/** The environment of the runtime, whole. Its cache is where nothing can be made, so that nothing is kept or left behind. */
export const RUNTIME_ENVIRONMENT: Readonly<Record<string, string>> = {
  DENO_DIR: "/dev/null/cache",
  DENO_NO_PACKAGE_JSON: "1",
  DENO_NO_UPDATE_CHECK: "1",
  NO_COLOR: "1",
};

/** Databases of the engine's that make the next start of the same code faster, each with SQLite's two files beside it. */
export const CODE_CACHE_FILES: readonly string[] = ["dep_analysis_cache_v2", "v8_code_cache_v2"].flatMap((name) => [
  name,
  `${name}-wal`,
  `${name}-shm`,
]);

/** Arguments of Deno: the runner is the main module, and the one permission is reading the plugin's own directory. */
export function denoArguments(spec: SandboxSpec, paths: { readonly runner: string; readonly root: string }): string[] {
  return [
    "run",
    ...CLOSED,
    ...(spec.codeCache === undefined ? ["--no-code-cache"] : []),
    `--v8-flags=--max-old-space-size=${spec.memoryMb}`,
    ...permission(spec, paths.root),
    spec.mainModule ?? paths.runner,
  ];
}

function permission(spec: SandboxSpec, root: string): string[] {
  if (spec.openRuntimePermissions === true) return ["--allow-all"];
  // Importing from some public hosts is granted unless it is denied.
  return spec.root === null ? ["--deny-import"] : ["--deny-import", `--allow-read=${root}`];
}
