import type { InstallAnswer, InstallRequest, Operator } from "../host-api.ts";
import { riskOf, sentenceOf } from "../capability/index.ts";
import {
  type Capability,
  type Clock,
  newId,
  type PluginRef,
  PolicyViolationError,
  SallyportError,
} from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { InstalledSource } from "../registry/index.ts";
import { findRevocation, insertApproval, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import { approve } from "./approve.ts";
import { eventOf, pendingApproval, type PluginsDeps } from "./plugins-deps.ts";
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
    (manifest) => expectMetadata(manifest, request.expect),
    (own) => step(own.name, own.index),
  );
  try {
    step("check", 4);
    const known = await admit(deps, source);
    step("register", 5);
    const record = known ?? (await register(deps, `operator:${operator.name}`, request.source, source));
    await approveInDevelopment(deps, record);
  } catch (error) {
    const digests = deps.catalog.all().map((record) => record.ref.digest);
    if (source.created && !digests.includes(source.treeDigest)) await deps.removeStored(source.treeDigest);
    throw error;
  }
  const ref = refOf(source);
  if (request.load === true)
    await deps.runtime.start(deps.catalog.get(ref.id, ref.version), `operator:${operator.name}`);
  return answer(deps, deps.catalog.get(ref.id, ref.version), [...source.warnings, ...broadRequests(source.manifest)]);
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

async function register(
  deps: PluginsDeps,
  actor: string,
  path: string,
  source: InstalledSource<Manifest>,
): Promise<StoredPlugin> {
  const ref = refOf(source);
  const record: StoredPlugin = {
    ref,
    manifest: source.manifest,
    manifestDigest: source.manifestDigest,
    codeDigest: source.codeDigest,
    source: `directory:${path}`,
    root: source.root,
    bundle: source.bundlePath,
    defaults: source.defaults,
    state: "discovered",
    active: deps.catalog.find(ref.id) === undefined,
    installedAt: deps.clock.now(),
    lastError: null,
    executionCount: 0,
    errorCount: 0,
  };
  const approval = pluginApproval(deps.clock, record);
  return deps.catalog.add(record, ["validated", "pending_approval"], {
    actor,
    statements: [insertApproval(approval)],
    events: [eventOf(deps.clock, "approval.requested", actor, { plugin: ref, approval: approval.id })],
  });
}

/** In development, and only there, what asks for nothing above low risk needs no yes. */
async function approveInDevelopment(deps: PluginsDeps, record: StoredPlugin): Promise<void> {
  if (deps.config().mode !== "development" || record.state !== "pending_approval") return;
  if (record.manifest.permissions.some((request) => riskOf(request) !== "low")) return;
  await approve(deps, { name: "development-mode" }, record.ref.id, {});
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

function expectMetadata(manifest: Manifest, expected: InstallRequest["expect"]): void {
  for (const key of ["id", "name", "version", "author", "description"] as const) {
    const wanted = expected?.[key];
    if (wanted === undefined || wanted === manifest[key] || (key === "name" && wanted === manifest.id)) continue;
    throw mismatch(key, wanted, manifest[key] ?? "nothing");
  }
  const missing = expected?.categories?.find((category) => !manifest.categories.some((own) => own === category));
  if (missing !== undefined) throw mismatch("capabilities", missing, manifest.categories.join(", ") || "none");
  if (expected?.capabilities === undefined) return;
  const wanted = sorted(expected.capabilities);
  const asked = sorted(manifest.permissions.map((request) => request.capability));
  if (wanted !== asked) throw mismatch("required permissions", wanted || "none", asked || "none");
}

/** What other systems call permissions: not the tools that a plugin offers. */
function sorted(capabilities: readonly Capability[]): string {
  return [...new Set(capabilities.filter((capability) => capability !== "tools"))].toSorted().join(", ");
}

function mismatch(key: string, expected: string, actual: string): SallyportError {
  return new SallyportError("manifest_invalid", `The plugin's ${key} is not what the request says.`, {
    detail: `Expected ${expected}, the manifest says ${actual}.`,
    fix: "Install the plugin that you mean, or correct the request.",
    data: { key, expected, actual },
  });
}

/** Requests that name no limit worth the name; least privilege is for the author to keep and for the operator to see. */
function broadRequests(manifest: Manifest): readonly string[] {
  return manifest.permissions.flatMap((request) => {
    const { scope } = request;
    if (scope === null) return [`${request.key} names no scope: it grants nothing until you fill one in with --scope.`];
    if (scope.capability === "network" && scope.host.startsWith("*."))
      return [`${request.key} reaches every host below ${scope.host.slice(2)}.`];
    if (scope.capability === "filesystem" && scope.path === "/") return [`${request.key} reaches the whole disk.`];
    return [];
  });
}

function pluginApproval(clock: Clock, record: StoredPlugin): StoredApproval {
  const wishes = record.manifest.permissions.map((request) => sentenceOf(request));
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
    sentence: `Plugin ${record.ref.id} ${record.ref.version} ${wishes.length === 0 ? "asks for nothing" : wishes.join("; ")}.`,
  };
}
