import type { InstallAnswer, InstallRequest, Operator } from "../host-api.ts";
import { riskOf } from "../capability/index.ts";
import { type Clock, newId, type PluginRef, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { InstalledSource, ResolvedSource } from "../registry/index.ts";
import { insertApproval, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import { approvePlugin } from "./approve.ts";
import { addedSentence, differenceBetween } from "./difference.ts";
import { assertExpected } from "./expect.ts";
import { examine, findInstalled, lockable, type Origin, refOf } from "./install-checks.ts";
import { assertFrozen, lockEntryOf } from "./lock-entry.ts";
import { actorOf, eventOf, pendingApproval, type PluginsDeps } from "./plugins-deps.ts";
import { findingsOf } from "../vet/index.ts";
import { signerSentence } from "./trust.ts";
import { wishSentence } from "./program.ts";
import { permissionsOf, summaryOf } from "./views.ts";

/** Steps of the source, then ours. */
export const STEPS = ["fetch", "manifest", "bundle", "trust", "store", "register", "lock"] as const;

/**
 * Takes a fetched plugin into the catalog, where it waits for an answer: one step after the other, each of which leaves the home
 * as it was when it fails. Nothing of the plugin runs. Installing the same bytes again changes nothing.
 * @throws {SallyportError} as `installSource`; `revoked`, `conflict` for other bytes under an installed version,
 * `manifest_invalid` when it is not what the request says, `lock_mismatch` when it is not what a lock says.
 */
export async function installResolved(
  deps: PluginsDeps,
  operator: Operator,
  resolved: ResolvedSource,
  request: Omit<InstallRequest, "source" | "load" | "dependencies">,
): Promise<InstallAnswer> {
  const actor = actorOf(operator);
  const step = (name: (typeof STEPS)[number]): void =>
    request.onStep?.({ name, index: STEPS.indexOf(name), of: STEPS.length });
  let origin: Origin | undefined;
  let letGo: (() => void) | undefined;
  let inherits = false;
  let source: InstalledSource<Manifest> | undefined;
  try {
    source = await deps.installSource(
      resolved.opened,
      {
        inspect: (manifest) => assertExpected(manifest, request.expect ?? {}),
        async admit(prepared) {
          origin = await examine(deps, resolved, prepared);
          findInstalled(deps, prepared);
          assertFrozen(request.frozen, lockEntryOf(lockable(prepared, origin)));
          letGo = deps.holds.take(prepared.treeDigest);
        },
      },
      (own) => own.name === "fetch" || step(own.name),
    );
    const stored = source;
    const found = origin;
    if (found === undefined) throw new SallyportError("internal", "A plugin was stored that nobody examined.");
    const record = await deps.inTurn(stored.manifest.id, async () => {
      step("register");
      inherits = deps.catalog.find(stored.manifest.id) === undefined && (await deps.hasKept(stored.manifest.id));
      const known = findInstalled(deps, stored.prepared);
      const registered = known
        ? await withEvidence(deps, actor, known, found)
        : await add(deps, actor, stored, found, () => step("lock"));
      return registered;
    });
    await approveInDevelopment(deps, record);
  } catch (error) {
    letGo?.();
    if (source?.created === true) await removeUnused(deps, source.treeDigest);
    throw error;
  }
  letGo?.();
  const ref = refOf(source);
  const warnings = [
    ...resolved.warnings,
    ...source.warnings,
    ...remarks(deps, source),
    ...(inherits ? [inheritance(ref.id)] : []),
  ];
  return answer(deps, deps.catalog.get(ref.id, ref.version), warnings);
}

/** Of a failed install nothing stays, unless somebody else installs the same bytes. */
async function removeUnused(deps: PluginsDeps, digest: string): Promise<void> {
  const used = deps.holds.held().has(digest) || deps.catalog.all().some((record) => record.ref.digest === digest);
  if (!used) await deps.removeStored(digest);
}

async function add(
  deps: PluginsDeps,
  actor: string,
  source: InstalledSource<Manifest>,
  origin: Origin,
  onLock: () => void,
): Promise<StoredPlugin> {
  const ref = refOf(source);
  const record = deps.trust.seals.plugin({
    ref,
    manifest: source.manifest,
    manifestDigest: source.manifestDigest,
    codeDigest: source.codeDigest,
    source: origin.source,
    origin: origin.origin,
    root: source.root,
    bundle: source.bundlePath,
    defaults: source.defaults,
    state: "discovered",
    active: deps.catalog.find(ref.id) === undefined,
    installedAt: deps.clock.now(),
    lastError: null,
    executionCount: 0,
    errorCount: 0,
    ...origin.evidence,
  });
  const active = deps.catalog.versions(ref.id).find((other) => other.active);
  const wishes = active
    ? addedSentence(active.ref, ref, differenceBetween(active, record, deps.views.grantOf(active)))
    : wishesOf(record.manifest);
  const approval = pluginApproval(deps.clock, record.ref, `${wishes} ${signerSentence(origin.decision)}`);
  onLock();
  return deps.catalog.add(record, ["validated", "pending_approval"], {
    actor,
    statements: [insertApproval(approval)],
    events: [eventOf(deps.clock, "approval.requested", actor, { plugin: ref, approval: approval.id })],
  });
}

/** The same bytes again, now with a signature: the version keeps its grant and gains a publisher. */
async function withEvidence(
  deps: PluginsDeps,
  actor: string,
  known: StoredPlugin,
  { evidence }: Origin,
): Promise<StoredPlugin> {
  // To seal what somebody else wrote would make it ours.
  deps.trust.seals.check(known, undefined);
  const news =
    (evidence.signature !== undefined && evidence.signature !== known.signature) ||
    (evidence.provenance !== undefined && known.provenance === undefined);
  // A stranger's signature over the same bytes takes nothing away from a publisher's.
  if (!news || (known.publisherKey !== undefined && evidence.publisherKey === undefined)) return known;
  // Nor does another publisher's: what the plugin keeps belongs to whoever vouched for these bytes first, and still does.
  if (known.publisherKey !== undefined && (await deps.trust.decideFor(known)).publisherKey === known.publisherKey)
    return known;
  const data = evidence.publisherKey === undefined ? {} : { publisher_key: evidence.publisherKey };
  const event = eventOf(deps.clock, "plugin.evidence", actor, { plugin: known.ref, data });
  const merged = {
    signature: evidence.signature ?? known.signature,
    provenance: evidence.provenance ?? known.provenance,
    publisherKey: evidence.publisherKey,
  };
  const amended = await deps.catalog.amend(deps.trust.seals.plugin({ ...known, ...merged }), [event]);
  if (known.publisherKey === undefined) await deps.spaces.handOn(known, amended);
  return amended;
}

/** In development, and only there, what asks for nothing above low risk needs no yes. */
async function approveInDevelopment(deps: PluginsDeps, record: StoredPlugin): Promise<void> {
  if (deps.config().mode !== "development" || record.state !== "pending_approval") return;
  if (record.manifest.permissions.some((request) => riskOf(request) !== "low")) return;
  await approvePlugin(deps, { name: "development-mode" }, record, {});
}

async function answer(deps: PluginsDeps, record: StoredPlugin, warnings: readonly string[]): Promise<InstallAnswer> {
  const pending = record.state === "pending_approval" ? await pendingApproval(deps, record) : undefined;
  return {
    plugin: summaryOf(deps.views, record),
    loaded: record.state === "running",
    ...(pending ? { approval: { id: pending.id } } : {}),
    permissions: permissionsOf(deps.views, record),
    lock: lockEntryOf(record),
    warnings,
    dependencies: [],
  };
}

function inheritance(id: string): string {
  return `A plugin named ${id} left data or configuration here. This one sees it only when it is by the same publisher, or unsigned and from the same folder; to hand it on, say so: sallyport plugin approve ${id} --keep-data`;
}

/** Text that is searched while an operator waits; `plugin vet` searches all. */
const SCAN_BYTES = 4 * 1024 * 1024;

/** What `plugin vet` says of it, in one line each, but its notes for authors and what the source's own warnings tell already. */
function remarks(deps: PluginsDeps, { prepared }: InstalledSource<Manifest>): readonly string[] {
  const knownIds = [...new Set(deps.catalog.all().map((record) => record.ref.id))];
  return findingsOf(prepared, { knownIds, scanBytes: SCAN_BYTES })
    .filter(({ severity, rule }) => severity !== "note" && rule !== "imports")
    .map(({ file, line, rule, message }) => {
      if (rule === "permission" || rule === "look-alike" || file === "") return message;
      return line === null ? `${file} ${message}` : `${file}:${line} ${message}`;
    });
}

function wishesOf(manifest: Manifest): string {
  const wishes = manifest.permissions.map((request) => wishSentence(manifest, request));
  return `Plugin ${manifest.id} ${manifest.version} ${wishes.length === 0 ? "asks for nothing" : wishes.join("; ")}.`;
}

function pluginApproval(clock: Clock, plugin: PluginRef, sentence: string): StoredApproval {
  return {
    id: newId("apr"),
    kind: "plugin",
    state: "pending",
    createdAt: clock.now(),
    expiresAt: null,
    decidedAt: null,
    decidedBy: null,
    reason: null,
    plugin,
    tool: null,
    agent: null,
    operator: null,
    token: null,
    via: null,
    inputDigest: null,
    definitionDigest: null,
    policySnapshot: null,
    rule: null,
    input: undefined,
    facts: null,
    scope: null,
    usesLeft: null,
    uses: 0,
    endedAt: null,
    endedBy: null,
    endedReason: null,
    sentence,
  };
}
