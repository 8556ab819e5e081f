import type {
  ApprovalView,
  ContentMark,
  HostStats,
  InstallAnswer,
  InvokeAnswer,
  LockView,
  LogLine,
  PermissionView,
  PluginInfo,
  PluginSummary,
  PromptStats,
  RevocationView,
  ToolSummary,
  TrustedKeyView,
  TrustView,
  UpgradeAnswer,
  UpgradeChange,
  UpgradeRow,
  VerifyAnswer,
} from "../host-api.ts";
import type { Manifest } from "../manifest/index.ts";
import type {
  ApprovalAnswer,
  CallAnswer,
  ContentAnswer,
  InstallAnswerBody,
  LogLineAnswer,
  PermissionAnswer,
  PluginInfoAnswer,
  PluginSummaryAnswer,
  PromptStatsAnswer,
  KeyAnswer,
  RevocationAnswerBody,
  StatsAnswer,
  ToolAnswer,
  TrustAnswer,
  VerifyAnswerBody,
  LockAnswerBody,
  UpgradeAnswerBody,
  UpgradeChangeAnswer,
  UpgradeRowBody,
} from "../wire/index.ts";

/* Host objects to wire answers: explicit, so that a new field never leaves by accident. */

export function toPluginSummary(plugin: PluginSummary): PluginSummaryAnswer {
  return {
    id: plugin.id,
    name: plugin.name,
    version: plugin.version,
    description: plugin.description,
    state: plugin.state,
    enabled: plugin.enabled,
    digest: plugin.digest,
    source: plugin.source,
    isolation: plugin.isolation,
    contained: plugin.contained,
    health: { status: plugin.health.status },
    execution_count: plugin.executionCount,
    error_count: plugin.errorCount,
    last_error: plugin.lastError,
    categories: [...plugin.categories],
    signer: { ...plugin.signer },
  };
}

export function toPermission(permission: PermissionView): PermissionAnswer {
  return {
    key: permission.key,
    capability: permission.capability,
    risk: permission.risk,
    sentence: permission.sentence,
    ...(permission.reason !== undefined && { reason: permission.reason }),
    required: permission.required,
    needs_scope: permission.needsScope,
    granted: permission.granted,
    enforced: permission.enforced,
  };
}

export function toTool(tool: ToolSummary): ToolAnswer {
  return {
    name: tool.name,
    plugin: tool.plugin,
    tool: tool.tool,
    description: tool.description,
    effect: tool.effect,
    decision: tool.decision,
    isolation: tool.isolation,
    contained: tool.contained,
    input_schema: tool.inputSchema,
    ...(tool.outputSchema !== undefined && { output_schema: tool.outputSchema }),
  };
}

export function toPluginInfo(info: PluginInfo): PluginInfoAnswer {
  const { grant } = info;
  return {
    ...toPluginSummary(info),
    manifest: toManifest(info.manifest),
    requested: info.requested.map((request) => ({ ...request })),
    granted: info.granted.map((scope) => ({ ...scope })),
    permissions: info.permissions.map(toPermission),
    tools: info.tools.map(toTool),
    config: info.config,
    installed_at: info.installedAt,
    trust: toTrust(info.trust),
    grant: grant && {
      id: grant.id,
      granted_by: grant.grantedBy,
      granted_at: grant.grantedAt,
      ...(grant.expiresAt !== undefined && { expires_at: grant.expiresAt }),
      ...(grant.inProcess && { in_process: grant.inProcess }),
    },
  };
}

/** In the spelling of `plugin.yml`. */
function toManifest(manifest: Manifest): Record<string, unknown> {
  return {
    manifest_version: 1,
    id: manifest.id,
    name: manifest.name,
    version: manifest.version,
    description: manifest.description,
    author: manifest.author,
    license: manifest.license,
    homepage: manifest.homepage,
    entry: manifest.entry,
    categories: manifest.categories,
    contributes: {
      tools: manifest.tools.map((tool) => ({
        name: tool.name,
        description: tool.description,
        effect: tool.effect,
        input_schema: tool.inputSchema,
        output_schema: tool.outputSchema,
        timeout_ms: tool.timeoutMs,
      })),
      commands: manifest.commands,
      routes: manifest.routes,
      hooks: manifest.hooks,
      mcp_servers: manifest.mcpServers,
    },
    permissions: manifest.permissions,
    config_schema: manifest.configSchema,
    dependencies: manifest.dependencies,
    engines: manifest.engines,
    isolation: manifest.isolation,
    limits: { memory_mb: manifest.limits.memoryMb, concurrency: manifest.limits.concurrency },
  };
}

export function toTrust(trust: TrustView): TrustAnswer {
  return {
    verdict: trust.verdict,
    requirement: trust.requirement,
    risk: trust.risk,
    evidence: trust.evidence.map((item) => ({ ...item })),
    missing: [...trust.missing],
    reasons: [...trust.reasons],
    ...(trust.signer && { signer: { ...trust.signer } }),
    ...(trust.publisherKey !== undefined && { publisher_key: trust.publisherKey }),
    ...(trust.code !== undefined && { code: trust.code }),
    ...(trust.fix !== undefined && { fix: trust.fix }),
  };
}

export function toVerify(answer: VerifyAnswer): VerifyAnswerBody {
  return { id: answer.id, version: answer.version, digest: answer.digest, trust: toTrust(answer.trust) };
}

export function toKey(key: TrustedKeyView): KeyAnswer {
  return {
    key: key.id,
    name: key.name,
    scopes: [...key.scopes],
    state: key.state,
    expires_at: key.expiresAt,
    replaces: key.replaces,
    added_by: key.addedBy,
    added_at: key.addedAt,
  };
}

export function toInstall(answer: InstallAnswer): InstallAnswerBody {
  return {
    ...toInstalled(answer),
    loaded: answer.loaded,
    dependencies: answer.dependencies.map((own) => ({
      ...toInstalled(own),
      wanted_by: own.wantedBy.map((who) => ({ ...who })),
    })),
  };
}

function toInstalled(answer: Omit<InstallAnswer, "loaded" | "dependencies">) {
  return {
    plugin: toPluginSummary(answer.plugin),
    ...(answer.approval && { approval: { id: answer.approval.id } }),
    permissions: answer.permissions.map(toPermission),
    lock: { ...answer.lock },
    warnings: [...answer.warnings],
  };
}

function toChange(change: UpgradeChange): UpgradeChangeAnswer {
  const { key, capability, risk, sentence, required, needsScope } = change;
  return { key, capability, risk, sentence, required, needs_scope: needsScope };
}

export function toUpgrade(answer: UpgradeAnswer): UpgradeAnswerBody {
  const { added, removed, tools, other, questions } = answer.difference;
  return {
    id: answer.id,
    from: answer.from,
    to: answer.to,
    digest: answer.digest,
    source: answer.source,
    state: answer.state,
    difference: {
      added: added.map(toChange),
      removed: removed.map(toChange),
      tools: {
        added: [...tools.added],
        removed: [...tools.removed],
        changed: tools.changed.map(({ name, what }) => ({ name, what: [...what] })),
      },
      other: [...other],
      questions: [...questions],
    },
    needs: answer.needs.map(({ id, version }) => ({ id, version })),
    plugin: toPluginSummary(answer.plugin),
    ...(answer.approval && { approval: { id: answer.approval.id } }),
    warnings: [...answer.warnings],
  };
}

export function toUpgradeRow(row: UpgradeRow): UpgradeRowBody {
  if (row.state !== "failed") return toUpgrade(row);
  return { id: row.id, from: row.from, state: row.state, code: row.code, error: row.error };
}

export function toLock(view: LockView): LockAnswerBody {
  const { file, state, sealed, plugins, differences } = view;
  return { file, state, sealed, plugins, differences: differences.map((own) => ({ ...own })) };
}

export function toLogLine(line: LogLine): LogLineAnswer {
  return {
    time: line.time,
    level: line.level,
    message: line.message,
    ...(line.call !== undefined && { call: line.call }),
  };
}

export function toApproval(approval: ApprovalView): ApprovalAnswer {
  return {
    id: approval.id,
    kind: approval.kind,
    state: approval.state,
    created_at: approval.createdAt,
    expires_at: approval.expiresAt,
    plugin: { id: approval.plugin.id, version: approval.plugin.version, digest: approval.plugin.digest },
    sentence: approval.sentence,
    ...(approval.tool !== undefined && { tool: approval.tool }),
    ...(approval.agent !== undefined && { agent: approval.agent }),
    ...(approval.input !== undefined && { input: approval.input }),
    ...(approval.inputDigest !== undefined && { input_digest: approval.inputDigest }),
    ...(approval.effect !== undefined && { effect: approval.effect }),
    ...(approval.operator !== undefined && { operator: approval.operator }),
    ...(approval.via !== undefined && { via: [...approval.via] }),
    ...(approval.rule !== undefined && { rule: approval.rule }),
    ...(approval.reach !== undefined && { reach: [...approval.reach] }),
    ...(approval.changes !== undefined && { changes: [...approval.changes] }),
    ...(approval.decidedBy !== undefined && { decided_by: approval.decidedBy }),
    ...(approval.decidedAt !== undefined && { decided_at: approval.decidedAt }),
    ...(approval.reason !== undefined && { reason: approval.reason }),
    standing: approval.standing,
    covers: [...approval.covers],
    uses_left: approval.usesLeft,
    uses: approval.uses,
    ...(approval.endedAt !== undefined && { ended_at: approval.endedAt }),
    ...(approval.endedBy !== undefined && { ended_by: approval.endedBy }),
    ...(approval.endedReason !== undefined && { ended_reason: approval.endedReason }),
  };
}

export function toPromptStats(stats: PromptStats): PromptStatsAnswer {
  return {
    waiting: stats.waiting,
    standing: stats.standing,
    calls: stats.calls,
    prompts: stats.prompts,
    prompts_per_100: stats.promptsPer100,
    agents: stats.agents.map(({ agent, calls, prompts, promptsPer100 }) => ({
      agent,
      calls,
      prompts,
      prompts_per_100: promptsPer100,
    })),
  };
}

export function toCall(answer: InvokeAnswer): CallAnswer {
  if (answer.success) {
    return {
      success: true,
      call_id: answer.callId,
      result: answer.result,
      duration_ms: answer.durationMs,
      ...(answer.content && { content: toContent(answer.content) }),
    };
  }
  return {
    success: false,
    call_id: answer.callId,
    error: answer.error,
    code: answer.code,
    ...(answer.detail !== undefined && { detail: answer.detail }),
    ...(answer.fix !== undefined && { fix: answer.fix }),
    ...(answer.approval && { approval: { id: answer.approval.id } }),
    ...(answer.retryAfterMs !== undefined && { retry_after_ms: answer.retryAfterMs }),
    ...(answer.content && { content: toContent(answer.content) }),
  };
}

function toContent({ removed, ...content }: ContentMark): ContentAnswer {
  return { ...content, ...(removed && { removed: [...removed] }) };
}

export function toStats(stats: HostStats): StatsAnswer {
  return {
    loaded_plugins: stats.loadedPlugins,
    registry: { total_plugins: stats.registry.totalPlugins, active_plugins: stats.registry.activePlugins },
    calls: { ...stats.calls },
    approvals: toPromptStats(stats.approvals),
  };
}

export function toRevocation(one: RevocationView): RevocationAnswerBody {
  return {
    kind: one.kind,
    value: one.value,
    plugin: one.plugin,
    reason: one.reason,
    revoked_by: one.revokedBy,
    revoked_at: one.revokedAt,
  };
}
