import type { StoredAuditEvent } from "../../src/audit/index.ts";
import type { PermissionRequest, Scope } from "../../src/capability/index.ts";
import { manifestPermissions, permissionsYaml } from "../../src/host/learn-manifest.ts";
import { createObserver, type Observation } from "../../src/host/learn-observe.ts";
import { type Proposal, propose } from "../../src/host/learn-propose.ts";
import { readManifest } from "../../src/manifest/index.ts";

export const PLUGIN = { id: "probe", version: "1.0.0", digest: "sha256:00" };

/** A broker action as the audit keeps it. */
export function action(fields: Partial<StoredAuditEvent>): StoredAuditEvent {
  return {
    v: 1,
    id: "evt_1",
    time: 1_000,
    type: "broker.action",
    actor: "plugin:probe",
    plugin: PLUGIN,
    decision: "allow",
    outcome: "succeeded",
    seq: 1,
    prev_hash: "",
    hash: "",
    ...fields,
  };
}

export const went = (method: string, target: string, more: Partial<StoredAuditEvent> = {}): StoredAuditEvent =>
  action({ capability: "network", method, target, ...more });
export const file = (method: string, target: string, more: Partial<StoredAuditEvent> = {}): StoredAuditEvent =>
  action({ capability: "filesystem", method, target, ...more });
export const denied = { decision: "deny", outcome: "failed", reason: "permission_denied" } as const;

export function observe(events: readonly StoredAuditEvent[]): readonly Observation[] {
  const observer = createObserver();
  for (const event of events) observer.add(event);
  return observer.observations();
}

/** The requests of a manifest with this block of permissions. */
export function requestsOf(yaml: string): readonly PermissionRequest[] {
  const text = `manifest_version: 1
id: probe
name: probe
version: 1.0.0
description: A plugin of a test.
license: MIT
entry: plugin.js
contributes: {}
config_schema: {}
${yaml}`;
  return readManifest({ name: "plugin.yml", bytes: Buffer.from(text) }).manifest.permissions;
}

export const scopesIn = (requests: readonly PermissionRequest[]): readonly Scope[] =>
  requests.flatMap(({ scope }) => (scope === null ? [] : [scope]));

export interface Learned extends Proposal {
  readonly yaml: string;
  /** Read back from the YAML, as a manifest is. */
  readonly requests: readonly PermissionRequest[];
}

/** What is learnt from these events of a plugin that asks for this and was granted all of it. */
export function learnt(
  permissions: string,
  events: readonly StoredAuditEvent[],
  { includeRefused = false, granted }: { readonly includeRefused?: boolean; readonly granted?: readonly Scope[] } = {},
): Learned {
  const requests = requestsOf(permissions);
  const proposal = propose({
    requests,
    granted: granted ?? scopesIn(requests),
    observations: observe(events),
    includeRefused,
  });
  const yaml = permissionsYaml(manifestPermissions(proposal.proposed));
  return { ...proposal, yaml, requests: requestsOf(yaml) };
}
