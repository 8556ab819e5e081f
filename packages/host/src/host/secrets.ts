import type { AuditLog } from "../audit/index.ts";
import type { Operator, SecretsApi } from "../host-api.ts";
import { type Clock, newId } from "../kernel/index.ts";
import type { Vault } from "../secrets/index.ts";

/** The vault, with each change in the audit: names and origins, never values. */
export function createSecretsApi(vault: Vault, audit: AuditLog, clock: Clock): SecretsApi {
  const changed = (operator: Operator, data: Record<string, unknown>): Promise<void> =>
    audit.record({
      v: 1,
      id: newId("evt"),
      time: clock.now(),
      type: "secret.changed",
      actor: `operator:${operator.name}`,
      data,
    });
  return {
    list: () => Promise.resolve(vault.list()),
    async set(operator, name, value, origins) {
      await vault.set(name, value, origins);
      await changed(operator, { name, origins, change: "set" });
    },
    async remove(operator, name) {
      await vault.remove(name);
      await changed(operator, { name, change: "removed" });
    },
  };
}
