import { z } from "zod";
import { ISOLATION_LEVELS } from "../kernel/index.ts";

/*
 * The shapes of the REST answers, which are also the CLI's `--json`. snake_case; times are milliseconds since the epoch.
 * The host's side is typed by them, a client parses with them.
 */
const isolation = z.enum(ISOLATION_LEVELS).nullable();
const decision = z.enum(["allow", "require_approval", "deny"]);
const schema = z.union([z.boolean(), z.record(z.string(), z.unknown())]);

export const pluginSummaryAnswer = z.object({
  id: z.string(),
  name: z.string(),
  version: z.string(),
  description: z.string(),
  state: z.string(),
  enabled: z.boolean(),
  digest: z.string(),
  source: z.string(),
  isolation,
  contained: z.boolean().nullable(),
  health: z.object({ status: z.string() }),
  execution_count: z.number(),
  error_count: z.number(),
  last_error: z.string().nullable(),
  categories: z.array(z.string()),
  signer: z.object({
    state: z.enum(["signed", "unsigned", "unknown"]),
    key: z.string().optional(),
    name: z.string().optional(),
  }),
});
export type PluginSummaryAnswer = z.infer<typeof pluginSummaryAnswer>;

export const permissionAnswer = z.object({
  key: z.string(),
  capability: z.string(),
  risk: z.string(),
  sentence: z.string(),
  reason: z.string().optional(),
  required: z.boolean(),
  needs_scope: z.boolean(),
  granted: z.boolean(),
  enforced: z.union([z.object({ by: z.string() }), z.object({ not: z.string() })]),
});
export type PermissionAnswer = z.infer<typeof permissionAnswer>;

export const toolAnswer = z.object({
  name: z.string(),
  plugin: z.string(),
  tool: z.string(),
  description: z.string(),
  effect: z.string(),
  decision,
  isolation,
  contained: z.boolean().nullable(),
  input_schema: schema,
  output_schema: schema.optional(),
});
export type ToolAnswer = z.infer<typeof toolAnswer>;

/** What the evidence of a plugin's origin is worth: what was checked, and what was missing. */
export const trustAnswer = z.object({
  verdict: z.enum(["verified", "unverified", "refused"]),
  requirement: z.enum(["required", "preferred"]),
  risk: z.string(),
  evidence: z.array(
    z.object({
      kind: z.string(),
      state: z.enum(["verified", "untrusted", "absent", "invalid"]),
      key: z.string().optional(),
      name: z.string().optional(),
      detail: z.string(),
    }),
  ),
  missing: z.array(z.string()),
  reasons: z.array(z.string()),
  signer: z.object({ key: z.string(), name: z.string().optional(), trusted: z.boolean() }).optional(),
  publisher_key: z.string().optional(),
  code: z.string().optional(),
  fix: z.string().optional(),
});
export type TrustAnswer = z.infer<typeof trustAnswer>;

export const verifyAnswer = z.object({
  id: z.string(),
  version: z.string(),
  digest: z.string(),
  trust: trustAnswer,
});
export type VerifyAnswerBody = z.infer<typeof verifyAnswer>;

export const keyAnswer = z.object({
  key: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  state: z.enum(["trusted", "expired", "revoked", "unsealed"]),
  expires_at: z.number().nullable(),
  replaces: z.string().nullable(),
  added_by: z.string(),
  added_at: z.number(),
});
export type KeyAnswer = z.infer<typeof keyAnswer>;

const revocationKind = z.enum(["id", "tree_digest", "code_digest", "publisher_key"]);

export const revocationAnswer = z.object({
  kind: revocationKind,
  value: z.string(),
  plugin: z.string(),
  reason: z.string(),
  revoked_by: z.string(),
  revoked_at: z.number(),
});
export type RevocationAnswerBody = z.infer<typeof revocationAnswer>;

export const backupAnswer = z.object({
  file: z.string(),
  bytes: z.number(),
  entries: z.number(),
  secrets: z.boolean(),
  store: z.boolean(),
  encrypted: z.boolean(),
  head: z.object({ seq: z.number(), hash: z.string() }),
});

export const storeCheckAnswer = z.object({
  checked: z.number(),
  reread: z.number(),
  problems: z.array(
    z.object({
      id: z.string(),
      version: z.string(),
      digest: z.string(),
      code: z.string(),
      error: z.string(),
      file: z.string(),
      expected: z.string(),
      actual: z.string(),
      fix: z.string(),
    }),
  ),
});

/** What one mark stopped. */
export const revokedAnswer = z.object({
  kind: revocationKind,
  value: z.string(),
  stopped: z.array(pluginSummaryAnswer),
});

export const pluginInfoAnswer = pluginSummaryAnswer.extend({
  manifest: z.record(z.string(), z.unknown()),
  requested: z.array(z.record(z.string(), z.unknown())),
  granted: z.array(z.record(z.string(), z.unknown())),
  permissions: z.array(permissionAnswer),
  tools: z.array(toolAnswer),
  config: z.record(z.string(), z.unknown()),
  installed_at: z.number(),
  trust: trustAnswer,
  grant: z
    .object({
      id: z.string(),
      granted_by: z.string(),
      granted_at: z.number(),
      expires_at: z.number().optional(),
      in_process: z.literal(true).optional(),
    })
    .nullable(),
});
export type PluginInfoAnswer = z.infer<typeof pluginInfoAnswer>;

/** A line of a plugin's log; `call` is the call that it belongs to. */
export const logLineAnswer = z.object({
  time: z.number(),
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string(),
  call: z.string().optional(),
});
export type LogLineAnswer = z.infer<typeof logLineAnswer>;

const oneInstalled = z.object({
  plugin: pluginSummaryAnswer,
  approval: z.object({ id: z.string() }).optional(),
  permissions: z.array(permissionAnswer),
  /** An entry of plugin.lock.json. */
  lock: z.record(z.string(), z.unknown()),
  warnings: z.array(z.string()),
});
const dependencyAnswer = oneInstalled.extend({
  wanted_by: z.array(z.object({ id: z.string(), version: z.string(), range: z.string() })),
});
export const installAnswer = oneInstalled.extend({
  loaded: z.boolean(),
  /** What was installed along with it because it needs it. */
  dependencies: z.array(dependencyAnswer),
});
export type InstallAnswerBody = z.infer<typeof installAnswer>;

export const secretAnswer = z.object({
  name: z.string(),
  origins: z.array(z.string()),
  version: z.number(),
  updated_at: z.number(),
});
export const vaultAnswer = z.object({
  source: z.enum(["file", "env", "keyring"]),
  key: z.string(),
  revision: z.number(),
});

/** Whose words an answer holds, and what the host did to them. */
export const contentAnswer = z.object({
  untrusted: z.literal(true),
  plugin: z.string(),
  version: z.string(),
  tool: z.string(),
  isolation,
  truncated: z.object({ bytes: z.number(), of: z.number() }).optional(),
  removed: z.array(z.string()).optional(),
  escaped: z.literal(true).optional(),
});
export type ContentAnswer = z.infer<typeof contentAnswer>;

export const callAnswer = z.union([
  z.object({
    success: z.literal(true),
    call_id: z.string(),
    result: z.unknown(),
    duration_ms: z.number(),
    content: contentAnswer.optional(),
  }),
  z.object({
    success: z.literal(false),
    call_id: z.string().optional(),
    error: z.string(),
    code: z.string(),
    detail: z.string().optional(),
    fix: z.string().optional(),
    approval: z.object({ id: z.string() }).optional(),
    retry_after_ms: z.number().optional(),
    content: contentAnswer.optional(),
  }),
]);
export type CallAnswer = z.infer<typeof callAnswer>;

export const failureAnswer = z.object({
  success: z.literal(false),
  error: z.string(),
  code: z.string(),
  detail: z.string().optional(),
  fix: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
  approval: z.object({ id: z.string() }).optional(),
});
export type FailureAnswer = z.infer<typeof failureAnswer>;

export const verificationAnswer = z.object({
  ok: z.boolean(),
  events: z.number(),
  head: z.object({ seq: z.number(), hash: z.string() }).nullable(),
  problems: z.array(z.object({ seq: z.number(), problem: z.string() })),
});

export const doctorAnswer = z.object({
  level: isolation,
  available: z.array(z.enum(ISOLATION_LEVELS)),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string(), fix: z.string().optional() })),
});

export const statusAnswer = z.object({
  version: z.string(),
  pid: z.number(),
  background: z.boolean(),
  passphrase_set: z.boolean(),
});

/** An event of the audit as its readers need it; the whole record is passed on untouched. */
export const auditEventAnswer = z.looseObject({
  seq: z.number(),
  time: z.number(),
  type: z.string(),
  actor: z.string(),
});
