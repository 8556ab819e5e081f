import { displayLine } from "../kernel/index.ts";
import type { FileLeaf } from "../trust/index.ts";
import type { Runnable } from "./code.ts";
import type { ContentStore } from "./content-store.ts";
import type { ReadSourceOptions } from "./directory.ts";
import { openSource } from "./open-source.ts";
import type { OpenedSource } from "./opened.ts";
import { type PreparedPlugin, type PreparePorts, preparePlugin } from "./prepare.ts";

/** What installing needs from elsewhere. */
export interface InstallPorts<M extends Runnable> extends PreparePorts<M> {
  readonly store: ContentStore;
  readonly source?: ReadSourceOptions;
  /** Looks at the whole, digests included, before anything is stored, and throws to refuse it. */
  readonly admit?: (prepared: PreparedPlugin<M>) => Promise<void> | void;
}

/** A plugin whose verified bytes are in the content store. Nothing of it has run. */
export interface InstalledSource<M> {
  /** What was stored, with its bytes and where it came from. */
  readonly prepared: PreparedPlugin<M>;
  readonly manifest: M;
  readonly manifestDigest: string;
  readonly treeDigest: string;
  readonly codeDigest: string;
  readonly files: readonly FileLeaf[];
  /** Values of a shipped config.yml|yaml|json, `{}` without one; not yet validated. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Absolute path of the stored files. */
  readonly root: string;
  /** Below `root`. */
  readonly bundlePath: string;
  /** False when the very same tree was stored before: then a failure later on must not remove it. */
  readonly created: boolean;
  readonly warnings: readonly string[];
}

export interface InstallStep {
  readonly name: (typeof STEPS)[number];
  readonly index: number;
  readonly of: number;
}

const STEPS = ["fetch", "manifest", "bundle", "trust", "store"] as const;

/**
 * Takes a plugin from a directory or an archive file, or one that is open already, into the content store: fetch, manifest, bundle
 * (with its checks and digests), trust, store. No step runs the plugin's code or a script of its packages, and a step that throws leaves nothing behind.
 * @throws {SallyportError} as `openSource`, `preparePlugin` and the ports do.
 */
export async function installSource<M extends Runnable>(
  from: string | OpenedSource,
  ports: InstallPorts<M>,
  onStep: (step: InstallStep) => void = () => {},
): Promise<InstalledSource<M>> {
  const announce = (name: InstallStep["name"]): void => onStep({ name, index: STEPS.indexOf(name), of: STEPS.length });

  announce("fetch");
  const opened = typeof from === "string" ? await openSource(from, ports.source) : from;
  const prepared = await preparePlugin(opened, ports, announce);

  announce("trust");
  await ports.admit?.(prepared);

  announce("store");
  const stored = await ports.store.put(prepared.files);
  return {
    prepared,
    manifest: prepared.manifest,
    manifestDigest: prepared.manifestDigest,
    treeDigest: stored.digest,
    codeDigest: prepared.codeDigest,
    files: prepared.files.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 })),
    defaults: prepared.defaults,
    root: stored.root,
    bundlePath: prepared.bundlePath,
    created: stored.created,
    warnings: [
      ...prepared.notes,
      ...prepared.imports.map((found) => `${displayLine(found.file)}:${found.line} ${found.problem}`),
    ],
  };
}
