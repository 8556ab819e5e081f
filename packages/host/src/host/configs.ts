import type { AuditLog } from "../audit/index.ts";
import { type Clock, newId, SallyportError } from "../kernel/index.ts";
import { type Manifest, maskConfig, sensitiveKeys, validateConfig } from "../manifest/index.ts";
import type { DataSpaces } from "./data-spaces.ts";
import { type Database, findConfig, saveConfig, type StoredPlugin } from "../store/index.ts";

type Values = Readonly<Record<string, unknown>>;

/** The configuration of plugins: what they ship, with the operator's values over it, validated when written and when loaded. */
export interface PluginConfigs {
  /** @throws {SallyportError} `plugin_config_invalid`. */
  effective(record: StoredPlugin): Promise<Values>;
  masked(record: StoredPlugin): Promise<Values>;
  /** Replaces the operator's values. @throws {SallyportError} `plugin_config_invalid`; then nothing was changed. */
  set(record: StoredPlugin, actor: string, values: Values): Promise<void>;
  /** @throws {SallyportError} `plugin_config_invalid` when the shipped values do not match the plugin's own schema. */
  checkDefaults(manifest: Manifest, defaults: Values): void;
}

export function createPluginConfigs(db: Database, audit: AuditLog, clock: Clock, spaces: DataSpaces): PluginConfigs {
  async function effective(record: StoredPlugin): Promise<Values> {
    const space = spaces.find(record);
    const own = space === undefined ? null : await findConfig(db, space);
    return validated(record.manifest, { ...record.defaults, ...own?.values });
  }

  return {
    effective,
    masked: async (record) => maskConfig(record.manifest.configSchema, await effective(record)),
    async set(record, actor, values) {
      validated(record.manifest, { ...record.defaults, ...values });
      const now = clock.now();
      const space = await spaces.ensure(record);
      await audit.commit(
        [saveConfig({ space, values, updatedBy: actor, updatedAt: now })],
        [
          {
            v: 1,
            id: newId("evt"),
            time: now,
            type: "config.changed",
            actor,
            plugin: record.ref,
            data: { keys: Object.keys(values).toSorted() },
          },
        ],
      );
    },
    checkDefaults(manifest, defaults) {
      // Required keys may be left for the operator; what is shipped must still be known and well typed.
      refuseSensitive(manifest, defaults);
      if (Object.keys(defaults).length > 0) validated(manifest, defaults);
    },
  };
}

function validated(manifest: Manifest, values: Values): Values {
  refuseSensitive(manifest, values);
  return validateConfig(manifest.configSchema, values);
}

/** Configuration lies in the store in clear, so a value that is marked sensitive has no place in it. */
function refuseSensitive(manifest: Manifest, values: Values): void {
  const sensitive = sensitiveKeys(manifest.configSchema).find(({ key }) => Object.hasOwn(values, key));
  if (!sensitive) return;
  throw new SallyportError(
    "plugin_config_invalid",
    `"${sensitive.key}" is sensitive and is not kept in configuration.`,
    {
      detail: "Values marked x-sensitive belong into the vault; this version takes them as secrets only.",
      fix: `Leave it out; the plugin's author can ask for it under permissions.secrets, and you set it with: sallyport secret set NAME`,
      data: { key: sensitive.key },
    },
  );
}
