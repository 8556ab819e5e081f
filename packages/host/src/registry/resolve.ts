import { readFile, realpath } from "node:fs/promises";
import { dirname, extname, join, relative, sep } from "node:path";
import type { Loader, OnResolveArgs, OnResolveResult, PartialMessage, Plugin, PluginBuild } from "esbuild";
import { toSallyportError } from "../kernel/index.ts";
import { isServed, loadServed, SERVED, SERVED_DEFAULT, serve } from "./builtins.ts";
import { isSwitchedOff } from "./browser-field.ts";
import { builtinName, type ModuleReader } from "./modules.ts";

/** Names of the virtual folders: no path of this machine may reach the bundle's text. */
export const PLUGIN = "plugin";
const SDK = "sallyport-sdk";
const EMPTY = "empty";

const FORBIDDEN_BUILTINS: ReadonlySet<string> = new Set([
  "child_process",
  "cluster",
  "inspector",
  "vm",
  "worker_threads",
]);

const LOADERS: Readonly<Record<string, Loader>> = {
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".json": "json",
  ".txt": "text",
};

export interface ResolveOptions {
  readonly root: string;
  readonly entry: string;
  readonly reader: ModuleReader;
  /** Path of the SDK's entry on disk, asked for only by a plugin that imports it. */
  readonly sdkEntry: () => string;
  /** The entry is a bundle: it may import what the engine serves, and nothing else. */
  readonly selfContained: boolean;
}

/** An esbuild plugin that lets a bundle take nothing but the plugin's own files, its own `node_modules`, and the host's SDK. */
export function confinedResolution(options: ResolveOptions): Plugin {
  return {
    name: "sallyport",
    setup(build) {
      build.onResolve({ filter: /.*/ }, (args) => resolve(build, args, options));
      build.onLoad({ filter: /.*/, namespace: PLUGIN }, async ({ path }) => {
        const loader = LOADERS[extname(path).toLowerCase()];
        if (loader === undefined)
          return refuse(
            `"${path}" is no JavaScript, TypeScript, JSON or text`,
            "Turn it into one of these, or read it at run time.",
          );
        try {
          return { contents: await options.reader.read(path), loader, resolveDir: dirname(join(options.root, path)) };
        } catch (error) {
          const known = toSallyportError(error);
          return { errors: [{ text: known.message, detail: { code: known.code, fix: known.fix } }] };
        }
      });
      build.onLoad({ filter: /.*/, namespace: SDK }, async ({ path }) => ({
        contents: await readFile(join(dirname(options.sdkEntry()), path)),
        loader: "js",
      }));
      for (const namespace of [SERVED, SERVED_DEFAULT]) build.onLoad({ filter: /.*/, namespace }, loadServed);
      build.onLoad({ filter: /.*/, namespace: EMPTY }, () => ({ contents: "", loader: "js" }));
      build.onLoad({ filter: /.*/, namespace: "file" }, ({ path }) =>
        refuse(`"${path}" is outside the plugin`, OUTSIDE),
      );
    },
  };
}

const INNER = Symbol("a question of our own to esbuild's resolver");
const OUTSIDE =
  "Copy the file into the plugin, or install the package into the plugin's own node_modules (npm install there, not in a workspace above).";

async function resolve(
  build: PluginBuild,
  args: OnResolveArgs,
  options: ResolveOptions,
): Promise<OnResolveResult | undefined> {
  if (args.pluginData === INNER) return undefined;
  if (args.kind === "entry-point") return { path: options.entry, namespace: PLUGIN };
  if (args.namespace === SERVED || args.namespace === SERVED_DEFAULT) return serve(args);
  if (args.namespace === SDK) return insideSdk(args, options);
  const refusal = refusedSpecifier(args.path);
  if (refusal) return refusal;
  if (options.selfContained)
    return (
      builtin(args) ??
      refuse(
        `"${args.path}" is imported by a packed plugin, whose one module has to hold everything`,
        "Pack the plugin again from its source: sallyport plugin pack",
      )
    );
  if (args.path === "@sallyport/sdk")
    return {
      path: toPosix(relative(dirname(options.sdkEntry()), options.sdkEntry())),
      namespace: SDK,
      sideEffects: false,
    };
  if (args.path.startsWith("@sallyport/sdk/"))
    return refuse(
      `"${args.path}" is for tests and tools, not for a plugin's code`,
      'Import only "@sallyport/sdk" here.',
    );
  return insidePlugin(build, args, options);
}

async function insidePlugin(
  build: PluginBuild,
  args: OnResolveArgs,
  options: ResolveOptions,
): Promise<OnResolveResult | undefined> {
  const found = await build.resolve(args.path, {
    resolveDir: args.resolveDir,
    kind: args.kind,
    importer: args.importer,
    namespace: "file",
    pluginData: INNER,
  });
  if (found.errors.length > 0 || found.external) return builtin(args);
  if (found.namespace !== "file") return { path: args.path, namespace: EMPTY };
  if (/\.node$/i.test(found.path))
    return refuse("native addons cannot run in a plugin's process", "Use a library written in JavaScript.");
  const path = await options.reader.inside(found.path);
  if (path === undefined) return refuse(`"${args.path}" resolves to a file outside the plugin`, OUTSIDE);
  if (await isSwitchedOff(path, options.reader)) return { path, namespace: EMPTY };
  return { path, namespace: PLUGIN, sideEffects: found.sideEffects, suffix: found.suffix };
}

/** A module that is nowhere on disk: one of Node's, or missing. In `try { require(…) }` esbuild lets it be missing. */
function builtin(args: OnResolveArgs): OnResolveResult | undefined {
  if (builtinName(args.path) === undefined) return undefined;
  if (isServed(args.path)) return serve(args);
  return args.kind === "require-call" ? undefined : { errors: [missingBuiltin(args.path)] };
}

export function missingBuiltin(specifier: string): PartialMessage {
  return {
    text: `"${specifier}" does not exist in a plugin's process`,
    detail: {
      fix: "Ask for what you need with permissions and use fetch, ctx.files, ctx.kv and ctx.secrets; or use a library that runs in browsers.",
    },
  };
}

function refusedSpecifier(specifier: string): OnResolveResult | undefined {
  if (FORBIDDEN_BUILTINS.has(builtinName(specifier) ?? "")) {
    return refuse(
      `"${specifier}" is forbidden in a plugin`,
      "A plugin starts no processes, threads or engines of its own; declare a permission and ask the host.",
    );
  }
  if (/\.node$/i.test(specifier))
    return refuse(
      `"${specifier}": native addons cannot run in a plugin's process`,
      "Use a library written in JavaScript.",
    );
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(specifier)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "node") {
    return refuse(
      `"${specifier}" is a remote or computed module`,
      "Install the package into the plugin's node_modules, so that its code is approved with the plugin.",
    );
  }
  return specifier.startsWith("//")
    ? refuse(`"${specifier}" is a remote module`, "Install the package into the plugin's node_modules.")
    : undefined;
}

async function insideSdk(args: OnResolveArgs, options: ResolveOptions): Promise<OnResolveResult> {
  const root = await realpath(dirname(options.sdkEntry()));
  const target = await realpath(join(root, dirname(args.importer), args.path));
  const path = toPosix(relative(root, target));
  return path.startsWith("..")
    ? refuse("the SDK imports a file outside itself", "Install Sallyport again.")
    : { path, namespace: SDK, sideEffects: false };
}

function refuse(text: string, fix: string): { errors: PartialMessage[] } {
  return { errors: [{ text, detail: { fix } }] };
}

function toPosix(path: string): string {
  return path.split(sep).join("/");
}
