import type { AuditLog } from "../audit/index.ts";
import type { ConfigForm } from "../host-api.ts";
import { type Clock, newId, SallyportError } from "../kernel/index.ts";
import {
  type Manifest,
  MASK,
  maskConfig,
  type SensitiveKey,
  sensitiveKeys,
  validateConfig,
} from "../manifest/index.ts";
import type { ConfigValue, Vault } from "../secrets/index.ts";
import { type Database, findConfig, saveConfig, type StoredPlugin } from "../store/index.ts";
import { configForm } from "./config-form.ts";
import type { DataSpaces } from "./data-spaces.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * The configuration of plugins: what they ship, with the operator's values over it, validated when written and when loaded. Values
 * that are marked sensitive live in the vault, of (id, publisher); nothing here ever gives them out.
 */
export interface PluginConfigs {
  /**
   * Valid as a whole, with a mask where a sensitive value is.
   * @throws {SallyportError} `plugin_config_invalid`; `vault_unavailable` when there are sensitive keys and no vault.
   */
  effective(record: StoredPlugin): Promise<Values>;
  /** What a person needs to fill it in; also when it is not valid as it is. */
  form(record: StoredPlugin): Promise<ConfigForm>;
  /**
   * Replaces the operator's values. Of the sensitive ones only those named: with text it is set, with `null` removed, and the mask
   * leaves it. @throws {SallyportError} `plugin_config_invalid`, `usage` for a sensitive value that cannot be kept; then nothing
   * was changed.
   */
  set(record: StoredPlugin, actor: string, values: Values): Promise<void>;
  /** @throws {SallyportError} `plugin_config_invalid` when the shipped values do not match the plugin's own schema. */
  checkDefaults(manifest: Manifest, defaults: Values): void;
}

export interface ConfigDeps {
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly spaces: DataSpaces;
  readonly vault: Pick<Vault, "configOf" | "setConfig">;
}

export function createPluginConfigs({ db, audit, clock, spaces, vault }: ConfigDeps): PluginConfigs {
  /** The operator's own values that are in clear, and the sensitive ones that are set. */
  async function own(record: StoredPlugin) {
    const space = spaces.find(record);
    const stored = space === undefined ? null : await findConfig(db, space);
    return { plain: { ...record.defaults, ...stored?.values }, kept: keptOf(record, space) };
  }

  function keptOf({ manifest }: StoredPlugin, space: string | undefined): ReadonlyMap<string, ConfigValue> {
    const keys = sensitiveKeys(manifest.configSchema);
    if (keys.length === 0 || space === undefined) return new Map();
    const all = vault.configOf(space);
    return new Map(
      keys.flatMap(({ key }): [string, ConfigValue][] => {
        const entry = all.get(key);
        return entry === undefined ? [] : [[key, entry]];
      }),
    );
  }

  async function effective(record: StoredPlugin): Promise<Values> {
    const { plain, kept } = await own(record);
    return validated(record.manifest, plain, kept);
  }

  return {
    effective,
    async form(record) {
      const { plain, kept } = await own(record);
      return configForm(record.manifest.configSchema, plain, new Set(kept.keys()));
    },
    async set(record, actor, values) {
      const { plain, changes } = split(record.manifest, values);
      const before = keptOf(record, spaces.find(record));
      const after = new Map(before);
      for (const [key, change] of changes) {
        if (change === null) after.delete(key);
        else after.set(key, change);
      }
      validated(record.manifest, { ...record.defaults, ...plain }, after);
      const now = clock.now();
      const space = await spaces.ensure(record);
      if (changes.size > 0) await vault.setConfig(space, changes);
      try {
        await audit.commit(
          [saveConfig({ space, values: plain, updatedBy: actor, updatedAt: now })],
          [
            {
              v: 1,
              id: newId("evt"),
              time: now,
              type: "config.changed",
              actor,
              plugin: record.ref,
              data: {
                keys: Object.keys(values).toSorted(),
                ...(changes.size > 0 && { sensitive: [...changes.keys()].toSorted() }),
              },
            },
          ],
        );
      } catch (error) {
        // What is not in the audit is not in force.
        if (changes.size > 0)
          await vault.setConfig(space, new Map([...changes.keys()].map((key) => [key, before.get(key) ?? null])));
        throw error;
      }
    },
    checkDefaults(manifest, defaults) {
      // Required keys may be left for the operator; what is shipped must still be known and well typed.
      refuseInClear(manifest, defaults);
      if (Object.keys(defaults).length > 0) validated(manifest, defaults, new Map());
    },
  };
}

/** The values with placeholders, or the values themselves under an `expose` grant, in the place of their masks. */
export function configForPlugin(manifest: Manifest, masked: Values, secrets: Readonly<Record<string, string>>): Values {
  const config: Record<string, unknown> = { ...masked };
  for (const { key } of sensitiveKeys(manifest.configSchema)) {
    const given = secrets[`config:${key}`];
    if (given === undefined) delete config[key];
    else if (Object.hasOwn(config, key)) config[key] = given;
  }
  return config;
}

function validated(manifest: Manifest, plain: Values, kept: ReadonlyMap<string, ConfigValue>): Values {
  refuseInClear(manifest, plain);
  const values = [...kept].map(([key, { value }]): [string, unknown] => [key, value]);
  const whole = validateConfig(manifest.configSchema, { ...plain, ...Object.fromEntries(values) });
  return maskConfig(manifest.configSchema, whole);
}

function split(
  manifest: Manifest,
  values: Values,
): { readonly plain: Values; readonly changes: ReadonlyMap<string, ConfigValue | null> } {
  const sensitive = new Map(sensitiveKeys(manifest.configSchema).map((each) => [each.key, each]));
  const plain: [string, unknown][] = [];
  const changes = new Map<string, ConfigValue | null>();
  for (const [key, value] of Object.entries(values)) {
    const of = sensitive.get(key);
    if (of === undefined) plain.push([key, value]);
    else if (value !== MASK) changes.set(key, changeOf(of, value));
  }
  return { plain: Object.fromEntries(plain), changes };
}

function changeOf({ key, use }: SensitiveKey, value: unknown): ConfigValue | null {
  if (value === null) return null;
  if (typeof value === "string") return { value, origins: use === undefined ? [] : [use.origin] };
  throw new SallyportError("plugin_config_invalid", `"${key}" is not text.`, {
    fix: "Give it as text, or null to remove it.",
    data: { key },
  });
}

/** What is shipped is public, and the store keeps in clear what it keeps: neither is a place for a sensitive value. */
function refuseInClear(manifest: Manifest, values: Values): void {
  const sensitive = sensitiveKeys(manifest.configSchema).find(({ key }) => Object.hasOwn(values, key));
  if (!sensitive) return;
  throw new SallyportError("plugin_config_invalid", `"${sensitive.key}" is sensitive and stands here in clear.`, {
    detail: "The plugin ships a value for it, or it was set before the plugin marked it x-sensitive.",
    fix: "Set it again, and it goes into the vault: sallyport plugin config ID --edit",
    data: { key: sensitive.key },
  });
}
