import { join } from "node:path";
import { openHome } from "./home/index.ts";
import { assembleHost } from "./host/assemble.ts";
import { type HostOverrides, openHomeParts } from "./host/parts.ts";
import type { Host } from "./host-api.ts";
import { type Clock, systemClock } from "./kernel/index.ts";
import { createRedactor, type Redactor } from "./secrets/index.ts";
import { readSealKeys } from "./trust/index.ts";

export { resumeRestore, restoreHome } from "./host/restore.ts";

export interface CreateHostOptions {
  /** The home: a folder of the user's, mode 0700, with `config.yml`. `sallyport init` makes one. */
  readonly home: string;
  readonly clock?: Clock;
  /** Told of defects that no caller sees; by default they are dropped. */
  readonly onDefect?: (error: unknown) => void;
  /** `PLUGIN_SECRET_KEY`, `SALLYPORT_VAULT_KEY` and each with `_PREVIOUS` are read from here; nothing else of the environment is. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What stands in for the outside world in tests and benchmarks. */
  readonly overrides?: HostOverrides;
}

/**
 * Opens a home and becomes its owner: the only process that starts its plugins, reads its vault and appends to its audit.
 * @throws {SallyportError} `home_missing`, `home_unsafe`, `home_locked`, `config_invalid`, `schema_newer`,
 * `store_unavailable`, `isolation_unavailable` when the runtime is not installed.
 */
export async function createHost(options: CreateHostOptions): Promise<Host> {
  const home = openHome(options.home);
  const parts = await openHomeParts({
    home,
    clock: options.clock ?? systemClock,
    vaultKey: {
      key: options.env?.["SALLYPORT_VAULT_KEY"],
      previous: options.env?.["SALLYPORT_VAULT_KEY_PREVIOUS"],
    },
    overrides: options.overrides ?? {},
  });
  const redactor = createRedactor(() => parts.vault.known());
  try {
    return await assembleHost(parts, {
      dataRoot: join(home, "data"),
      sealKeys: readSealKeys(options.env ?? {}),
      openRuntimePermissions: options.overrides?.openRuntimePermissions ?? false,
      onDefect: (error) => options.onDefect?.(withoutSecrets(error, redactor)),
    });
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** An error of any library may quote what it was given, an address or a header. */
function withoutSecrets(error: unknown, { redactText }: Redactor): unknown {
  if (!(error instanceof Error)) return typeof error === "string" ? redactText(error) : error;
  const told = [error.stack ?? error.message, error.cause instanceof Error ? error.cause.message : ""].join("\n");
  if (redactText(told) === told) return error;
  const clean = new Error(redactText(error.message));
  clean.stack = redactText(error.stack ?? "");
  return clean;
}
