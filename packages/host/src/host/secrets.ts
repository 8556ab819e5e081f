import type { AuditLog } from "../audit/index.ts";
import { type Catalog, isLive } from "../catalog/index.ts";
import type { Scope, SecretScope } from "../capability/index.ts";
import type { Operator, SecretsApi } from "../host-api.ts";
import { type Clock, newId } from "../kernel/index.ts";
import type { Vault } from "../secrets/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { auditUnavailable } from "./invoke-errors.ts";
import type { VaultRollback } from "./open-vault.ts";
import { actorOf } from "./plugins-deps.ts";
import type { Runtime } from "./runtime.ts";

export interface SecretsDeps {
  readonly vault: Vault;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly catalog: Pick<Catalog, "all" | "current">;
  readonly runtime: Pick<Runtime, "stop">;
  grantOf(record: StoredPlugin): { readonly scopes: readonly Scope[] } | undefined;
  /** How long calls in flight may go on, milliseconds. */
  drainMs(): number;
}

/** The vault, with each change in the audit: names and origins, never values. */
export function createSecretsApi(deps: SecretsDeps): SecretsApi {
  const { vault, audit } = deps;
  const changed = (operator: Operator, data: Record<string, unknown>): Promise<void> =>
    audit.record({ ...eventBase(deps), type: "secret.changed", actor: actorOf(operator), data });

  /** Requests carry a new value by themselves; a process that was told the old one, or that there is none, begins anew. */
  async function restartHolders(operator: Operator, name: string, isNew = false): Promise<void> {
    for (const record of deps.catalog.all()) {
      const granted = deps.grantOf(record)?.scopes ?? [];
      const holds = granted.some((scope) => isOf(scope, name) && (isNew || scope.expose === true));
      if (!holds || !isLive(record.state) || record.state === "idle") continue;
      const to = record.state === "running" ? "idle" : "stopped";
      await deps.runtime.stop(record, to, { actor: actorOf(operator), reason: "secret_changed" }, deps.drainMs());
    }
  }

  return {
    list: async () => vault.list(),
    async set(operator, name, value, origins) {
      assertAudited(audit);
      await vault.set(name, value, origins);
      const version = vault.list().find((secret) => secret.name === name)?.version;
      await changed(operator, { name, origins, change: "set", version });
      await restartHolders(operator, name, version === 1);
    },
    async remove(operator, name) {
      assertAudited(audit);
      await vault.remove(name);
      await changed(operator, { name, change: "removed" });
      await restartHolders(operator, name);
    },
    async rotateKey(operator) {
      assertAudited(audit);
      const before = vault.state?.key;
      const state = await vault.rotateKey();
      const data = { source: state.source, from: before, to: state.key };
      await audit.record({ ...eventBase(deps), type: "vault.rekeyed", actor: actorOf(operator), data });
      return state;
    },
  };
}

/** An older copy of the vault was put back while no host ran. */
export async function noteRollback(
  deps: Pick<SecretsDeps, "audit" | "clock">,
  rollback: VaultRollback | undefined,
): Promise<void> {
  if (rollback === undefined) return;
  await deps.audit.record({ ...eventBase(deps), type: "vault.rolled_back", actor: "host", data: { ...rollback } });
}

/** Nothing changes that cannot be written down. */
function assertAudited(audit: AuditLog): void {
  if (!audit.healthy) throw auditUnavailable();
}

function isOf(scope: Scope, name: string): scope is SecretScope {
  return scope.capability === "secrets" && scope.name === name;
}

function eventBase({ clock }: Pick<SecretsDeps, "clock">) {
  return { v: 1, id: newId("evt"), time: clock.now() } as const;
}
