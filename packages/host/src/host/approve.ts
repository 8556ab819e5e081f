import { decidedEvent } from "../approval/index.ts";
import { assertMayBeInProcess, assertSignedForInProcess, grantedScopes, type Move } from "../catalog/index.ts";
import { type Grant, parseScopeArgument, type Scope, scopeKey } from "../capability/index.ts";
import type { ApproveRequest, Operator } from "../host-api.ts";
import { HOST_RIGHTS, newId, SallyportError, toSallyportError } from "../kernel/index.ts";
import {
  decideApproval,
  deleteToolRule,
  disableTools,
  enableTool,
  insertGrant,
  saveAllowed,
  saveCeiling,
  saveToolRule,
  type Statement,
  type StoredPlugin,
} from "../store/index.ts";
import { boundCommands, grantable } from "./grantable.ts";
import { actorOf, eventOf, pendingApproval, type PluginsDeps, withdrawal } from "./plugins-deps.ts";
import { toolName } from "./route.ts";

/** What a yes comes to, worked out before anything changes. */
interface Answer {
  readonly scopes: readonly Scope[];
  /** Full names of tools that agents may use without being asked. */
  readonly tools: readonly string[];
  /** Full names of tools that agents may use at all, if they can do more than read. */
  readonly enabled: readonly string[];
  readonly grantOnly: boolean;
  readonly inProcess: boolean;
  readonly expiresAt: number | undefined;
}

/**
 * One yes for one version: the grant and, unless only that is wanted, all else that it takes to use the plugin, in one
 * transaction. A running plugin is stopped, since its process knows only the grant that it started with.
 * @throws {SallyportError} `usage`; then nothing has changed. `permission_required`; then the plugin is denied.
 */
export async function approvePlugin(
  deps: PluginsDeps,
  operator: Operator,
  version: StoredPlugin,
  request: ApproveRequest,
): Promise<StoredPlugin> {
  const { catalog, clock } = deps;
  const actor = actorOf(operator);
  const answer = await readAnswer(deps, operator, version, request);
  const kept = await takenOver(deps, version, request.keepData);
  const record = await approvable(deps, version, actor);
  const now = clock.now();
  const grant: Grant = {
    id: newId("grt"),
    pluginId: record.ref.id,
    version: record.ref.version,
    manifestDigest: record.manifestDigest,
    treeDigest: record.ref.digest,
    scopes: answer.scopes,
    grantedBy: operator.name,
    grantedAt: now,
    ...(answer.expiresAt === undefined ? {} : { expiresAt: answer.expiresAt }),
    ...(answer.inProcess ? { inProcess: true } : {}),
  };
  const pending = await pendingApproval(deps, record);
  const before = withdrawal(deps, record, operator);
  const approved = await catalog.move(record, "approved", {
    actor,
    lastError: null,
    ...(answer.inProcess ? { isolation: "in-process" } : {}),
    statements: [
      ...before.statements,
      insertGrant(deps.trust.seals.grant(grant)),
      ...(kept ? [kept.statement] : []),
      ...toolRules(record, answer, operator.name, now),
      ...(answer.grantOnly ? [] : admission(deps, record, answer.scopes, operator.name, now)),
      ...(pending ? [decideApproval(pending.id, { state: "approved", by: operator.name, at: now })] : []),
    ],
    events: [
      ...before.events,
      eventOf(clock, "grant.written", actor, {
        plugin: record.ref,
        scope: answer.scopes.map(scopeKey).join(" "),
        ...(answer.inProcess ? { isolation: "in-process", contained: false, reason: HOST_RIGHTS } : {}),
        data: {
          grant: grant.id,
          tools: answer.tools,
          enabled: answer.enabled,
          ...boundCommands(answer.scopes),
          ...(answer.grantOnly ? { grant_only: true } : {}),
          ...(answer.inProcess ? { in_process: true } : {}),
          ...(kept ? { data_of: kept.from } : {}),
        },
      }),
      ...(pending
        ? [decidedEvent(pending, { state: "approved", operator: operator.name, token: operator.token, time: now })]
        : []),
    ],
  });
  await Promise.all([deps.refresh(), kept && deps.spaces.refresh()]);
  return approved;
}

/** What another owner left, when the operator hands it on. What the plugin itself kept is never lost by that. */
async function takenOver(deps: PluginsDeps, record: StoredPlugin, keepData: ApproveRequest["keepData"]) {
  if (keepData === undefined) return undefined;
  const own = deps.spaces.find(record);
  const shared = deps.spaces.shareStatement(record, keepData === true ? undefined : keepData);
  if (own === undefined || !(await deps.holdsData(own))) return shared;
  throw new SallyportError("conflict", `${record.ref.id} has data of its own here already.`, {
    fix: `Approve it without --keep-data, or remove its own first: sallyport plugin uninstall ${record.ref.id} --purge`,
  });
}

async function readAnswer(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  request: ApproveRequest,
): Promise<Answer> {
  const grantOnly = request.grantOnly === true;
  const tools = (request.allowTools ?? []).map((name) => declaredTool(record, name));
  if (grantOnly && (tools.length > 0 || request.enableTools !== undefined)) {
    throw new SallyportError("usage", "A grant alone allows and enables no tools.", {
      fix: "Leave out --grant-only, or --allow-tools and --enable-tools.",
    });
  }
  const named = request.enableTools ?? record.manifest.tools.map(({ name }) => name);
  const enabled = grantOnly ? [] : [...new Set([...named.map((name) => declaredTool(record, name)), ...tools])];
  const { expiresAt } = request;
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > deps.clock.now())) {
    throw new SallyportError("usage", "The time at which the grant would end is over.", {
      fix: "Give a time to come.",
    });
  }
  const scopes = await grantable(await scopesOf(deps, operator, record, request), deps.places);
  const inProcess = request.inProcess === true;
  if (inProcess) {
    assertMayBeInProcess(record, deps.config());
    assertSignedForInProcess(record, await deps.trust.decideFor(record));
  }
  return { scopes, tools, enabled, grantOnly, inProcess, expiresAt };
}

/** To leave out what a plugin cannot do without is a no. */
async function scopesOf(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  { only, scopes = [] }: ApproveRequest,
): Promise<readonly Scope[]> {
  try {
    return grantedScopes(record.ref.id, record.manifest.permissions, { only, scopes: scopes.map(parseScopeArgument) })
      .scopes;
  } catch (thrown) {
    const error = toSallyportError(thrown);
    if (error.code === "permission_required") await denyPlugin(deps, operator, record, error.code);
    throw error;
  }
}

/** The rules of its tools are what this yes says; nothing is left of an earlier one, which may have meant other code. */
function toolRules(record: StoredPlugin, answer: Answer, setBy: string, setAt: number): readonly Statement[] {
  const declared = record.manifest.tools.map((tool) => toolName(record.ref.id, tool.name));
  return [
    ...declared.map((tool) => deleteToolRule(tool, null)),
    ...disableTools(declared),
    ...answer.enabled.map((tool) => enableTool(tool, setBy, setAt)),
    ...answer.tools.map((tool) => saveToolRule({ tool, agent: null, decision: "allow", setBy, setAt })),
  ];
}

/** Allow-list entry and host ceiling. What other versions of the id were granted stays below the ceiling: they may run. */
export function admission(
  deps: PluginsDeps,
  record: StoredPlugin,
  granted: readonly Scope[],
  by: string,
  at: number,
): readonly Statement[] {
  const { id } = record.ref;
  const others = deps.catalog.versions(id).filter((other) => other.ref.digest !== record.ref.digest);
  const scopes = [...granted, ...others.flatMap((other) => deps.views.grantOf(other)?.scopes ?? [])];
  return [
    saveAllowed({ pluginId: id, versionRange: null, treeDigest: null, publisher: null, addedBy: by, addedAt: at }),
    saveCeiling({ pluginId: id, scopes, setBy: by, setAt: at }),
  ];
}

export function declaredTool(record: StoredPlugin, name: string): string {
  const tool = record.manifest.tools.find((own) => own.name === name || toolName(record.ref.id, own.name) === name);
  if (tool) return toolName(record.ref.id, tool.name);
  throw new SallyportError("usage", `${record.ref.id} has no tool "${name.slice(0, 100)}".`, {
    fix: `It has: ${record.manifest.tools.map((own) => own.name).join(", ")}.`,
  });
}

/** Brings a plugin to `pending_approval` from wherever an operator may answer it again; a running one is stopped first. */
async function approvable(deps: PluginsDeps, record: StoredPlugin, actor: string): Promise<StoredPlugin> {
  const { catalog, runtime } = deps;
  const move: Move = { actor, reason: "asked_again" };
  let current = catalog.current(record.ref) ?? record;
  if (current.state !== "pending_approval" && current.state !== "denied" && current.state !== "validated") {
    current = await runtime.stop(current, "validated", move);
  }
  return current.state === "pending_approval" ? current : catalog.move(current, "pending_approval", move);
}

export async function denyPlugin(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  reason?: string,
): Promise<StoredPlugin> {
  const actor = actorOf(operator);
  const current = await approvable(deps, record, actor);
  const pending = await pendingApproval(deps, current);
  const before = withdrawal(deps, current, operator);
  const now = deps.clock.now();
  const answer = { state: "denied", operator: operator.name, token: operator.token, reason, time: now } as const;
  const denied = await deps.catalog.move(current, "denied", {
    actor,
    reason: reason ?? "denied",
    statements: [
      ...before.statements,
      ...(pending ? [decideApproval(pending.id, { state: "denied", by: operator.name, at: now, reason })] : []),
    ],
    events: [...before.events, ...(pending ? [decidedEvent(pending, answer)] : [])],
  });
  await deps.refresh();
  return denied;
}
