import type { AuditLog, StoredAuditEvent } from "../audit/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { Grant } from "../capability/index.ts";
import type { LearnAnswer, LearnRequest } from "../host-api.ts";
import type { StoredPlugin } from "../store/index.ts";
import { approveArguments, manifestPermissions, permissionsYaml } from "./learn-manifest.ts";
import { createObserver } from "./learn-observe.ts";
import { narrowedGrants, propose } from "./learn-propose.ts";
import { toolName } from "./route.ts";

export interface LearnDeps {
  readonly audit: Pick<AuditLog, "query">;
  readonly catalog: Pick<Catalog, "get">;
  readonly grantOf: (record: StoredPlugin) => Grant | undefined;
}

const PAGE = 1_000;
/** Events that are read at most. */
const MOST_EVENTS = 200_000;
/** Calls from which on a record says something, and much. */
const SOME_CALLS = 20;
const MANY_CALLS = 200;

/** Reads what the audit has of a plugin and proposes the least that would have been enough. Writes nothing. */
export async function learn(deps: LearnDeps, id: string, request: LearnRequest = {}): Promise<LearnAnswer> {
  const record = deps.catalog.get(id);
  const { ref, manifest } = record;
  const observer = createObserver();
  const calls = createCallCount();
  let truncated = false;
  for (const type of ["plugin_tool.invoked", "broker.action"] as const) {
    const all = await eachEvent(deps.audit, { type, plugin: ref.id, since: request.since }, (event) => {
      if (request.allVersions !== true && event.plugin?.digest !== ref.digest) return;
      if (type === "broker.action") observer.add(event);
      else calls.add(event);
    });
    truncated ||= !all;
  }
  truncated ||= observer.incomplete();
  const observations = observer.observations();
  const granted = deps.grantOf(record)?.scopes ?? [];
  const includeRefused = request.includeRefused === true;
  const { permissions, refused, proposed } = propose({
    requests: manifest.permissions,
    granted,
    observations,
    includeRefused,
  });
  const seen = calls.seen();
  const neverCalled = manifest.tools.map(({ name }) => name).filter((name) => !seen.tools.has(toolName(ref.id, name)));
  const asked = manifestPermissions(proposed);
  const additions = permissions.some(({ change }) => change === "add");
  return {
    plugin: ref,
    from: seen.from,
    to: seen.to,
    calls: seen.calls,
    agents: seen.agents.size,
    neverCalled,
    truncated,
    confidence: confidenceOf(seen.calls, neverCalled.length),
    permissions,
    refused,
    manifest: asked,
    yaml: permissionsYaml(asked),
    approve:
      granted.length === 0 || additions
        ? null
        : approveArguments(manifest.permissions, granted, narrowedGrants(granted, observations)),
  };
}

function confidenceOf(calls: number, neverCalled: number): LearnAnswer["confidence"] {
  if (calls === 0) return "none";
  if (calls < SOME_CALLS || neverCalled > 0) return "low";
  return calls < MANY_CALLS ? "some" : "good";
}

/** @returns false when there was more than is read. */
async function eachEvent(
  audit: LearnDeps["audit"],
  { type, plugin, since }: { readonly type: string; readonly plugin: string; readonly since: number | undefined },
  take: (event: StoredAuditEvent) => void,
): Promise<boolean> {
  let afterSeq = 0;
  for (let read = 0; read < MOST_EVENTS; read += PAGE) {
    const page = await audit.query({
      type,
      plugin,
      afterSeq,
      limit: PAGE,
      order: "asc",
      ...(since === undefined ? {} : { since }),
    });
    for (const event of page) take(event);
    if (page.length < PAGE) return true;
    afterSeq = page.at(-1)?.seq ?? afterSeq;
  }
  return false;
}

function createCallCount() {
  const tools = new Set<string>();
  const agents = new Set<string>();
  let calls = 0;
  let from: number | null = null;
  let to: number | null = null;
  return {
    add({ phase, outcome, tool, agent, time }: StoredAuditEvent): void {
      // An intent has its outcome too, and what never started used nothing.
      if (phase === "intent" || outcome === undefined || outcome === "not_started") return;
      calls++;
      from = Math.min(from ?? time, time);
      to = Math.max(to ?? time, time);
      if (tool !== undefined) tools.add(tool);
      if (agent !== undefined) agents.add(agent);
    },
    seen: () => ({ tools, agents, calls, from, to }),
  };
}
