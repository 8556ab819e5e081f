import type { InstallAnswer, InstallRequest, Operator } from "../host-api.ts";
import { riskOf, sentenceOf } from "../capability/index.ts";
import { type Clock, newId, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { InstalledSource } from "../registry/index.ts";
import {
  findRevocation,
  insertApproval,
  listApprovals,
  type StoredApproval,
  type StoredPlugin,
} from "../store/index.ts";
import { approve } from "./approve.ts";
import { eventOf, type PluginsDeps } from "./plugins-deps.ts";
import { permissionsOf, summaryOf } from "./views.ts";

export async function install(deps: PluginsDeps, operator: Operator, request: InstallRequest): Promise<InstallAnswer> {
  const { catalog, clock, db } = deps;
  const actor = `operator:${operator.name}`;
  const total = 6;
  const step = (name: string, index: number): void => request.onStep?.({ name, index, of: total });
  const source = await deps.installSource(
    request.source,
    (manifest) => expectMetadata(manifest, request.expect),
    (own) => step(own.name, own.index),
  );
  const ref = { id: source.manifest.id, version: source.manifest.version, digest: source.treeDigest };
  try {
    step("check", 4);
    const revocation = await findRevocation(db, { id: ref.id, treeDigest: ref.digest, codeDigest: source.codeDigest });
    if (revocation) {
      throw new PolicyViolationError(
        "revoked",
        `${ref.id} ${ref.version} was revoked here (by ${revocation.kind}); that is permanent.`,
        {
          detail: `The revoked plugin was ${revocation.pluginId}: ${revocation.reason}.`,
          fix: "Use another plugin.",
        },
      );
    }
    const known = catalog.versions(ref.id).find((other) => other.ref.version === ref.version);
    if (known && known.ref.digest !== ref.digest) {
      throw new SallyportError("conflict", `${ref.id} ${ref.version} is installed already, with other bytes.`, {
        detail: `Installed: ${known.ref.digest}. New: ${ref.digest}.`,
        fix: `Give the new one another version, or run: sallyport plugin uninstall ${ref.id} --version ${ref.version}`,
      });
    }
    deps.configs.checkDefaults(source.manifest, source.defaults);
    step("register", 5);
    const record = known ?? (await register(deps, actor, request.source, source));
    const warnings = [...source.warnings, ...broadRequests(source.manifest)];
    return await answer(deps, operator, record, request.load ?? false, warnings);
  } catch (error) {
    if (source.created && !catalog.all().some((other) => other.ref.digest === ref.digest))
      await deps.removeStored(ref.digest);
    throw error;
  }

  async function answer(
    own: PluginsDeps,
    by: Operator,
    record: StoredPlugin,
    load: boolean,
    warnings: readonly string[],
  ): Promise<InstallAnswer> {
    const automatic = own.config().mode === "development" && record.state === "pending_approval" && isLowRisk(record);
    if (automatic) await approve(own, { name: "development-mode" }, record.ref.id, {});
    const approved = own.catalog.get(record.ref.id, record.ref.version);
    if (load) await own.runtime.start(approved, `operator:${by.name}`);
    const latest = own.catalog.get(record.ref.id, record.ref.version);
    const [pending] = await listApprovals(db, { kind: "plugin", state: "pending", pluginId: record.ref.id });
    return {
      plugin: summaryOf(own.views, latest),
      loaded: latest.state === "running",
      ...(pending && latest.state === "pending_approval" ? { approval: { id: pending.id } } : {}),
      permissions: permissionsOf(latest, own.views.grantOf(latest), own.views.levelOf(latest)),
      warnings,
    };
  }

  function isLowRisk(record: StoredPlugin): boolean {
    return record.manifest.permissions.every((permission) => riskOf(permission) === "low");
  }

  function expectMetadata(manifest: Manifest, expected: InstallRequest["expect"]): void {
    for (const key of ["id", "name", "version"] as const) {
      const wanted = expected?.[key];
      if (wanted === undefined || wanted === manifest[key] || (key === "name" && wanted === manifest.id)) continue;
      throw mismatch(key, wanted, manifest[key]);
    }
    const missing = expected?.categories?.find((category) => !manifest.categories.some((own) => own === category));
    if (missing !== undefined) throw mismatch("capabilities", missing, manifest.categories.join(", ") || "none");
  }

  function mismatch(key: string, expected: string, actual: string): SallyportError {
    return new SallyportError("manifest_invalid", `The plugin's ${key} is not what the request says.`, {
      detail: `Expected ${expected}, the manifest says ${actual}.`,
      fix: "Install the plugin that you mean, or correct the request.",
      data: { key, expected, actual },
    });
  }

  async function register(
    own: PluginsDeps,
    by: string,
    path: string,
    installed: InstalledSource<Manifest>,
  ): Promise<StoredPlugin> {
    const record: StoredPlugin = {
      ref,
      manifest: installed.manifest,
      manifestDigest: installed.manifestDigest,
      codeDigest: installed.codeDigest,
      source: `directory:${path}`,
      root: installed.root,
      bundle: installed.bundlePath,
      defaults: installed.defaults,
      state: "discovered",
      active: own.catalog.find(ref.id) === undefined,
      installedAt: clock.now(),
      lastError: null,
      executionCount: 0,
      errorCount: 0,
    };
    const approval = pluginApproval(clock, record);
    return own.catalog.add(record, ["validated", "pending_approval"], {
      actor: by,
      statements: [insertApproval(approval)],
      events: [eventOf(clock, "approval.requested", by, { plugin: ref, approval: approval.id })],
    });
  }
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
