import type { InstallAnswer, InstallRequest, Operator } from "../host-api.ts";
import { riskOf } from "../capability/index.ts";
import { type Clock, newId, type PluginRef, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { assertTrusted } from "../catalog/index.ts";
import type { InstalledSource } from "../registry/index.ts";
import type { TrustDecision } from "../trust/index.ts";
import { findRevocation, insertApproval, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import { approvePlugin } from "./approve.ts";
import { assertExpected } from "./expect.ts";
import { load } from "./load.ts";
import { actorOf, eventOf, pendingApproval, type PluginsDeps } from "./plugins-deps.ts";
import { findingsOf } from "../vet/index.ts";
import { signerSentence, subjectOf } from "./trust.ts";
import { wishSentence } from "./program.ts";
import { permissionsOf, summaryOf } from "./views.ts";

/** Steps of the source, then ours: check and register. */
const STEPS = 6;

/**
 * Takes a plugin from a directory into the catalog, where it waits for an answer. Nothing of it runs, and a failure leaves
 * neither files nor rows. Installing the same bytes again changes nothing.
 * @throws {SallyportError} as `installSource`; `revoked`, `conflict` for other bytes under an installed version, `manifest_invalid`
 * when it is not what the request says.
 */
export async function install(deps: PluginsDeps, operator: Operator, request: InstallRequest): Promise<InstallAnswer> {
  const step = (name: string, index: number): void => request.onStep?.({ name, index, of: STEPS });
  const source = await deps.installSource(
    request.source,
    (manifest) => assertExpected(manifest, request.expect ?? {}),
    (own) => step(own.name, own.index),
  );
  let inherits = false;
  try {
    const origin = await examine(deps, request.source, source);
    const register = async (): Promise<StoredPlugin> => {
      step("check", 4);
      inherits = deps.catalog.find(source.manifest.id) === undefined && (await deps.hasKept(source.manifest.id));
      const known = await admit(deps, source);
      step("register", 5);
      return known
        ? withEvidence(deps, actorOf(operator), known, origin)
        : add(deps, actorOf(operator), source, origin);
    };
    await approveInDevelopment(deps, await deps.inTurn(source.manifest.id, register));
  } catch (error) {
    const digests = deps.catalog.all().map((record) => record.ref.digest);
    if (source.created && !digests.includes(source.treeDigest)) await deps.removeStored(source.treeDigest);
    throw error;
  }
  const ref = refOf(source);
  if (request.load === true) await load(deps, operator, deps.catalog.get(ref.id, ref.version));
  const warnings = [...source.warnings, ...remarks(deps, source), ...(inherits ? [inheritance(ref.id)] : [])];
  return answer(deps, deps.catalog.get(ref.id, ref.version), warnings);
}

function refOf(source: InstalledSource<Manifest>): PluginRef {
  return { id: source.manifest.id, version: source.manifest.version, digest: source.treeDigest };
}

/** The record of the same bytes, when they are installed already. */
async function admit(deps: PluginsDeps, source: InstalledSource<Manifest>): Promise<StoredPlugin | undefined> {
  const { id, version, digest } = refOf(source);
  const revocation = await findRevocation(deps.db, { id, treeDigest: digest, codeDigest: source.codeDigest });
  if (revocation) {
    throw new PolicyViolationError(
      "revoked",
      `${id} ${version} was revoked here (by ${revocation.kind}); that is permanent.`,
      {
        detail: `The revoked plugin was ${revocation.pluginId}: ${revocation.reason}.`,
        fix: "Use another plugin.",
      },
    );
  }
  const known = deps.catalog.versions(id).find((other) => other.ref.version === version);
  if (known && known.ref.digest !== digest) {
    throw new SallyportError("conflict", `${id} ${version} is installed already, with other bytes.`, {
      detail: `Installed: ${known.ref.digest}. New: ${digest}.`,
      fix: `Give the new one another version, or run: sallyport plugin uninstall ${id} --version ${version}`,
      data: { expected: known.ref.digest, actual: digest },
    });
  }
  deps.configs.checkDefaults(source.manifest, source.defaults);
  return known;
}

async function add(
  deps: PluginsDeps,
  actor: string,
  source: InstalledSource<Manifest>,
  origin: Origin,
): Promise<StoredPlugin> {
  const ref = refOf(source);
  const record = deps.trust.seals.plugin({
    ref,
    manifest: source.manifest,
    manifestDigest: source.manifestDigest,
    codeDigest: source.codeDigest,
    source: origin.source,
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
  const approval = pluginApproval(deps.clock, record, signerSentence(origin.decision));
  return deps.catalog.add(record, ["validated", "pending_approval"], {
    actor,
    statements: [insertApproval(approval)],
    events: [eventOf(deps.clock, "approval.requested", actor, { plugin: ref, approval: approval.id })],
  });
}

/** Where a plugin came from, who signed it, and what of it is kept. */
interface Origin {
  readonly source: string;
  readonly decision: TrustDecision;
  readonly evidence: Pick<StoredPlugin, "signature" | "provenance" | "publisherKey">;
}

/** Refuses early what the signature gate would refuse at every load. */
async function examine(deps: PluginsDeps, path: string, installed: InstalledSource<Manifest>): Promise<Origin> {
  const source = `${installed.prepared.source.kind}:${path}`;
  const { signature } = installed.prepared.source;
  const { manifest, manifestDigest } = installed;
  const subject = subjectOf({ ref: refOf(installed), manifest, manifestDigest, source });
  const decision = await deps.trust.decide(subject, { signature });
  assertTrusted(decision);
  return { source, decision, evidence: { signature, publisherKey: decision.publisherKey } };
}

/** The same bytes again, now with a signature: the version keeps its grant and gains a publisher. */
async function withEvidence(
  deps: PluginsDeps,
  actor: string,
  known: StoredPlugin,
  { evidence }: Origin,
): Promise<StoredPlugin> {
  const news = evidence.signature !== undefined && evidence.signature !== known.signature;
  // A stranger's signature over the same bytes takes nothing away from a publisher's.
  if (!news || (known.publisherKey !== undefined && evidence.publisherKey === undefined)) return known;
  const data = evidence.publisherKey === undefined ? {} : { publisher_key: evidence.publisherKey };
  const event = eventOf(deps.clock, "plugin.evidence", actor, { plugin: known.ref, data });
  return deps.catalog.amend(deps.trust.seals.plugin({ ...known, ...evidence }), [event]);
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
    permissions: permissionsOf(record, deps.views.grantOf(record), deps.views.levelOf(record)),
    warnings,
  };
}

function inheritance(id: string): string {
  return `An earlier plugin named ${id} left data or configuration here, which this one takes over. To start without: uninstall it with --purge and install it again.`;
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

function pluginApproval(clock: Clock, record: StoredPlugin, signer: string): StoredApproval {
  const wishes = record.manifest.permissions.map((request) => wishSentence(record.manifest, request));
  return {
    id: newId("apr"),
    kind: "plugin",
    state: "pending",
    createdAt: clock.now(),
    expiresAt: null,
    decidedAt: null,
    decidedBy: null,
    reason: null,
    plugin: record.ref,
    tool: null,
    agent: null,
    inputDigest: null,
    definitionDigest: null,
    policySnapshot: null,
    input: undefined,
    usesLeft: null,
    sentence: `Plugin ${record.ref.id} ${record.ref.version} ${wishes.length === 0 ? "asks for nothing" : wishes.join("; ")}. ${signer}`,
  };
}
