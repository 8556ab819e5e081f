import semver from "semver";
import { isLive } from "../catalog/index.ts";
import type { Operator, UpgradeAnswer, UpgradeRequest, UpgradeRow } from "../host-api.ts";
import { displayLine, type PluginRef, SallyportError, toSallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { declaredTool } from "./approve.ts";
import { assertSuitsDependants, loadDependencies } from "./dependencies.ts";
import { differenceBetween } from "./difference.ts";
import { installResolved } from "./install.ts";
import { examine, refOf } from "./install-checks.ts";
import { withNeeded } from "./install-needed.ts";
import { planNeeded } from "./needed.ts";
import { actorOf, eventOf, type PluginsDeps } from "./plugins-deps.ts";
import { switchTo } from "./switch.ts";
import { grantUpgrade, toolRulesFor } from "./upgrade-grant.ts";
import { summaryOf } from "./views.ts";

/**
 * One plugin to a newer version. What can be refused is refused before anything is kept; what fails later leaves the old version
 * active, and the new one installed beside it.
 * @throws {SallyportError} as sources and installing; `conflict` for an older version, other bytes than were shown, or a plugin that
 * may not run; `dependency_conflict`.
 */
export function upgrade(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  request: UpgradeRequest = {},
): Promise<UpgradeAnswer> {
  return deps.inTurn(`upgrade\n${id}`, () => upgradeNow(deps, operator, id, request));
}

async function upgradeNow(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  request: UpgradeRequest,
): Promise<UpgradeAnswer> {
  const old = deps.catalog.get(id);
  if (old.state === "revoked" || old.state === "disabled") {
    throw new SallyportError("conflict", `${id} is ${old.state}, so it is not upgraded.`, {
      fix: old.state === "revoked" ? "Use another plugin." : `Run: sallyport plugin enable ${id}`,
    });
  }
  // What is carried on must be what this host wrote.
  deps.trust.seals.check(old, deps.views.grantOf(old));
  const resolved = await deps.openSource(request.source ?? sourceOf(old, request.to));
  const prepared = await deps.prepare(resolved.opened, ({ id: other }) => assertSame("id", id, other));
  const ref = refOf(prepared);
  const { source, evidence } = await examine(deps, resolved, prepared);
  const answer = {
    id,
    from: old.ref.version,
    to: ref.version,
    digest: ref.digest,
    source,
    plugin: summaryOf(deps.views, old),
    warnings: resolved.warnings,
  };
  const difference = differenceBetween(old, { ...evidence, manifest: prepared.manifest }, deps.views.grantOf(old));
  if (ref.digest === old.ref.digest && ref.version === old.ref.version)
    return { ...answer, state: "current", difference, needs: [] };
  if (request.to !== undefined) assertSame("version", request.to, ref.version);
  assertNewer(id, old.ref.version, ref.version, request.allowDowngrade === true);
  assertSuitsDependants(deps, id, ref.version);
  const plan = await planNeeded(deps, prepared.manifest, resolved.record, true);
  const warnings = [...resolved.warnings, ...plan.warnings];
  if (request.dryRun === true) {
    const needs = [...plan.needed, ...unapproved(deps, prepared.manifest)].map(({ id: other, version }) => ({
      id: other,
      version,
    }));
    return { ...answer, state: "possible", difference, needs, warnings };
  }
  if (request.approve !== undefined && request.approve !== ref.digest)
    throw otherBytes(id, request.approve, ref.digest);

  const installed = await withNeeded(deps, operator, plan.needed, request.onStep, () =>
    installResolved(deps, operator, resolved, {
      expect: { id, version: ref.version },
      ...(request.onStep && { onStep: request.onStep }),
    }),
  );
  const { approval } = installed;
  const told = { ...answer, difference, warnings: [...plan.warnings, ...installed.warnings] };
  const next = deps.catalog.get(id, ref.version);
  const needs = unapproved(deps, next.manifest);
  const mayRun = difference.questions.length === 0 || request.approve === ref.digest;
  const approved = deps.views.grantOf(next) !== undefined && next.state !== "pending_approval";
  if (needs.length > 0 || (!mayRun && !approved)) {
    return { ...told, state: "waiting", needs, ...(approval && { approval }) };
  }
  const tools = (request.allowTools ?? []).map((name) => declaredTool(next, name));
  const ready = approved ? next : await grantUpgrade(deps, operator, old, next, difference);
  await replace(deps, operator, old, ready, tools);
  await deps.audit.record(
    eventOf(deps.clock, "plugin.upgraded", actorOf(operator), {
      plugin: next.ref,
      from: old.ref.version,
      to: next.ref.version,
      data: { source, asked: difference.questions.length > 0, added: difference.added.map(({ key }) => key) },
    }),
  );
  return { ...told, state: "upgraded", needs, plugin: summaryOf(deps.views, deps.catalog.get(id)) };
}

/** What it needs that is installed and waits for a yes, or was refused one; what that needs comes first. */
function unapproved(deps: PluginsDeps, manifest: Manifest, seen: readonly string[] = []): readonly PluginRef[] {
  const found = new Map<string, PluginRef>();
  for (const id of Object.keys(manifest.dependencies)) {
    const record = seen.includes(id) ? undefined : deps.catalog.find(id);
    if (!record) continue;
    for (const ref of unapproved(deps, record.manifest, [...seen, manifest.id])) found.set(ref.id, ref);
    if (["validated", "pending_approval", "denied"].includes(record.state)) found.set(id, record.ref);
  }
  return [...found.values()];
}

/** The rules of tools that are other ones now go first: until the switch is over, agents are asked. */
export async function replace(
  deps: PluginsDeps,
  operator: Operator,
  old: StoredPlugin,
  next: StoredPlugin,
  allowTools: readonly string[] = [],
): Promise<void> {
  const rules = await toolRulesFor(deps, operator, old, next, []);
  if (rules.length > 0) await deps.db.atomically(rules);
  await deps.refresh();
  const now = deps.catalog.current(old.ref) ?? old;
  if (isLive(now.state) || now.state === "failed") {
    await loadDependencies(deps, operator, next);
    await switchTo(deps, actorOf(operator), next);
  } else {
    await deps.runtime.check(next, actorOf(operator));
    await deps.catalog.activate(next);
  }
  if (allowTools.length === 0) return;
  await deps.db.atomically(await toolRulesFor(deps, operator, next, next, allowTools));
  await deps.refresh();
}

/** Each plugin by itself: one that cannot be looked at, or needs a yes, keeps no other back. */
export async function upgradeAll(
  deps: PluginsDeps,
  operator: Operator,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<readonly UpgradeRow[]> {
  const rows: UpgradeRow[] = [];
  for (const record of deps.catalog.all().filter((own) => own.active && own.state !== "revoked")) {
    const { id, version } = record.ref;
    try {
      rows.push(await upgrade(deps, operator, id, { dryRun }));
    } catch (thrown) {
      const { code, message } = toSallyportError(thrown);
      rows.push({ id, from: version, state: "failed", code, error: message });
    }
  }
  return rows;
}

/** Where a version came from, for any that is not older; the resolver takes the highest that fits. */
function sourceOf(record: StoredPlugin, to: string | undefined): string {
  const { origin, ref } = record;
  const range = to ?? `>=${ref.version}`;
  // With its registry: another one that has the same id is somebody else's.
  if (origin?.learned === "signed-index")
    return `${origin.registry === null ? "" : `${origin.registry}:`}${ref.id}@${range}`;
  if (origin?.learned === "npm-metadata") return `${origin.spec.replace(/(?<=.)@[^@/]*$/, "")}@${range}`;
  return origin?.spec ?? record.source.slice(record.source.indexOf(":") + 1);
}

function assertNewer(id: string, from: string, to: string, allowDowngrade: boolean): void {
  if (semver.gt(to, from)) return;
  if (semver.eq(to, from)) {
    throw new SallyportError("conflict", `${id} ${displayLine(to)} has the same version and other bytes.`, {
      detail: "A version names exact bytes; what changed needs another one.",
      fix: "Ask its author for a new version, or give yours one.",
    });
  }
  if (allowDowngrade) return;
  throw new SallyportError("conflict", `${id} ${displayLine(to)} is older than ${displayLine(from)}.`, {
    detail: "An older version may have faults that a newer one mended; that is what an attacker would give you.",
    fix: `Go back to a version that ran here: sallyport plugin rollback ${id}. Or say --allow-downgrade.`,
    data: { from, to },
  });
}

function assertSame(what: string, expected: string, actual: string): void {
  if (expected === actual) return;
  throw new SallyportError("manifest_invalid", `The source holds another ${what} than the one asked for.`, {
    detail: `Expected ${displayLine(expected)}, found ${displayLine(actual)}.`,
    fix: "Name the source that has it.",
    data: { key: what, expected, actual },
  });
}

function otherBytes(id: string, expected: string, actual: string): SallyportError {
  return new SallyportError("conflict", `${id} is not any more what you said yes to.`, {
    detail: `Expected ${displayLine(expected)}, found ${actual}.`,
    fix: `Look again: sallyport plugin upgrade ${id} --dry-run`,
    data: { expected, actual },
  });
}
