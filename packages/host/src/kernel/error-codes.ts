/**
 * Every error code, with its category, its fixed HTTP status and its CLI exit code.
 * `docs/errors.md` is generated from this table.
 */
export type ErrorCategory = "usage" | "denied" | "approval" | "integrity" | "failed" | "limit" | "internal";

interface ErrorCodeEntry {
  readonly category: ErrorCategory;
  readonly http: number;
  readonly meaning: string;
}

const entry = (category: ErrorCategory, http: number, meaning: string): ErrorCodeEntry => ({ category, http, meaning });

export const ERROR_CODES = {
  internal: entry("internal", 500, "A defect of the host; the cause is in its log."),
  usage: entry("usage", 400, "The request is malformed or lacks something."),
  not_found: entry("usage", 404, "There is no such thing."),
  conflict: entry("failed", 409, "The thing is in a state that does not allow this."),
  unauthenticated: entry("denied", 401, "No or a wrong credential."),
  forbidden: entry("denied", 403, "This credential may not do this."),
  passphrase_required: entry("denied", 401, "The verb needs the operator's passphrase."),
  home_unsafe: entry("integrity", 500, "The home directory's place, owner or modes are not safe."),
  home_locked: entry("failed", 409, "Another process owns this home."),
  home_missing: entry("failed", 409, "There is no home here yet."),
  config_invalid: entry("usage", 422, "The operator's configuration is not valid."),
  store_unavailable: entry("failed", 503, "The store cannot be read or written."),
  schema_newer: entry("failed", 503, "The store was written by a newer program."),
  audit_unavailable: entry("failed", 503, "The audit cannot be written, so nothing runs."),
  audit_broken: entry("integrity", 500, "The audit chain does not verify."),

  manifest_missing: entry("usage", 422, "No manifest at the plugin's root."),
  manifest_invalid: entry("usage", 422, "The manifest is not valid."),
  manifest_too_large: entry("limit", 413, "The manifest is over a size, depth or count limit."),
  schema_unsupported: entry("usage", 422, "A JSON Schema of the plugin uses what is refused here."),
  plugin_config_invalid: entry("usage", 422, "The plugin's configuration does not match its config_schema."),
  source_unsafe: entry(
    "integrity",
    422,
    "The plugin's directory or archive has links, special files, unclear names, unsafe owners or modes, or is damaged.",
  ),
  source_too_large: entry("limit", 413, "The plugin's directory or archive is over a size or count limit."),
  entry_invalid: entry("usage", 422, "The entry is missing, outside the root, or no module."),
  bundle_failed: entry("failed", 422, "The plugin's source could not be bundled."),
  digest_mismatch: entry("integrity", 409, "Bytes on disk are not the bytes that were approved."),
  signature_required: entry("integrity", 403, "The plugin's risk requires a signature by a key that is trusted here."),
  signature_invalid: entry("integrity", 403, "A signature, seal or provenance of the plugin is wrong."),
  registry_untrusted: entry(
    "integrity",
    409,
    "A registry's index or archive is not what its key vouches for, is expired, or was rolled back.",
  ),
  no_version: entry("failed", 409, "No version of the plugin fits what was asked for."),
  lock_mismatch: entry(
    "integrity",
    409,
    "plugin.lock.json is gone, was edited, or pins something else than what is there.",
  ),
  seal_invalid: entry("integrity", 409, "A record of the store was changed by somebody else than this host."),

  plugins_disabled: entry("denied", 403, "plugins.enabled is not true."),
  not_allow_listed: entry("denied", 403, "The plugin is not on the allow-list."),
  revoked: entry("denied", 403, "The plugin, its code or its publisher was revoked for good."),
  not_approved: entry("approval", 403, "The plugin's permissions were not approved for these bytes."),
  permission_required: entry("denied", 403, "A permission that the plugin requires was denied."),
  ceiling_exceeded: entry(
    "denied",
    403,
    "A grant, or a limit that the manifest asks for, is wider than the host's ceiling.",
  ),
  dependency_missing: entry("failed", 409, "A plugin that this one depends on is not there."),
  dependency_conflict: entry(
    "failed",
    409,
    "Plugins depend on each other in a way that does not work out, or on the one that would go.",
  ),
  engine_mismatch: entry("failed", 409, "The plugin needs another version of Sallyport."),
  not_enforceable: entry("denied", 409, "The manifest asks for something that this host or machine cannot enforce."),
  isolation_unavailable: entry("denied", 409, "The isolation level that is required is not available here."),
  illegal_transition: entry("failed", 409, "The lifecycle has no such edge."),
  launch_failed: entry("failed", 502, "The plugin's process did not start."),
  handshake_failed: entry("failed", 502, "The plugin's process did not prove that the host launched it."),
  load_failed: entry("failed", 502, "The plugin's code did not load."),
  initialize_failed: entry("failed", 502, "initialize() returned false, threw, or was late."),
  undeclared_tool: entry("integrity", 502, "The plugin's code offers a tool that its manifest does not declare."),
  missing_tool: entry("failed", 502, "The plugin's code lacks a tool that its manifest declares."),
  protocol_violation: entry("integrity", 502, "The plugin's process broke the protocol and was killed."),
  plugin_crashed: entry("failed", 502, "The plugin's process ended by itself."),
  plugin_not_running: entry("denied", 409, "The plugin is not running and cannot be woken."),
  crash_budget: entry("failed", 409, "The plugin crashed too often; a person must load it again."),

  unknown_tool: entry("usage", 404, "No such tool for this caller."),
  invalid_input: entry("usage", 422, "The input does not match the tool's schema."),
  invalid_output: entry("failed", 502, "The plugin's answer does not match the tool's schema."),
  input_too_large: entry("limit", 413, "The input is over its size limit."),
  output_too_large: entry("limit", 502, "The plugin's answer is over its size limit."),
  policy_denied: entry("denied", 403, "Policy denies this call."),
  hook_denied: entry("denied", 403, "A hook of another plugin denies this call."),
  hook_failed: entry("denied", 403, "A hook that has to agree to this call did not answer as it must."),
  approval_required: entry("approval", 403, "An operator must approve this call first."),
  approval_expired: entry("approval", 403, "The approval expired, was used up, or was for something else."),
  deadline_exceeded: entry("failed", 504, "The call took longer than it may."),
  cancelled: entry("failed", 499, "The caller cancelled the call."),
  busy: entry("limit", 429, "Too many calls wait for this plugin."),
  tool_failed: entry("failed", 502, "The plugin reported a failure."),
  limit_exceeded: entry("limit", 429, "A limit on size, count or rate was reached."),

  permission_denied: entry("denied", 403, "The plugin has no grant for this."),
  address_refused: entry("denied", 403, "The host name resolves to an address that plugins may not reach."),
  network_failed: entry("failed", 502, "The remote server could not be reached or answered wrongly."),
  database_failed: entry("failed", 502, "A database, or the connection to it, failed or refused a statement."),
  secret_missing: entry("failed", 409, "The secret has no value in the vault."),
  secret_misuse: entry("denied", 403, "A secret was used where its grant does not allow."),
  vault_unavailable: entry("failed", 503, "The vault cannot be opened."),
  quota_exceeded: entry("limit", 507, "The plugin's storage quota is full."),
  backup_invalid: entry("integrity", 422, "The backup is damaged, was changed, or is no backup."),
  restore_unfinished: entry("failed", 409, "A restore of this home was cut short and has to be finished first."),
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;

const EXIT_CODES: Record<ErrorCategory, number> = {
  failed: 1,
  limit: 1,
  internal: 1,
  usage: 2,
  denied: 3,
  approval: 4,
  integrity: 5,
};

/** CLI exit code: 1 failed, 2 usage, 3 denied, 4 needs approval, 5 integrity or trust. */
export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[ERROR_CODES[code].category];
}

export function httpStatusOf(code: ErrorCode): number {
  return ERROR_CODES[code].http;
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
