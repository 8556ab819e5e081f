import type { KeySource } from "../secrets/index.ts";

/** What `sallyport init` writes: plugins on (or off), an approved `read` tool usable at once, everything else asks or is denied. */
export function starterConfig(options: {
  readonly pluginsEnabled: boolean;
  /** Where the vault's key is to be kept; absent: the environment when it holds one, else a file of the home. */
  readonly vaultKey?: KeySource | undefined;
}): string {
  return `# Sallyport's configuration. You own this file; Sallyport reads it and never writes it.
# Every key is described in docs/configuration.md. Unknown keys are errors.

plugins:
  enabled: ${options.pluginsEnabled}        # the master switch: nothing loads while it is false
  allowed_plugins: []   # \`plugin approve\` adds to this list in the store; ids here are allowed too

isolation:
  minimum: kernel       # refuse to run a plugin without a kernel sandbox; "runtime" gives that up

${options.vaultKey === undefined ? "" : `secrets:\n  key: ${options.vaultKey}          # where the vault's key is kept; no other place is asked\n\n`}policy:
  # What holds for a tool that no rule below matches, by what the tool may do to the world.
  defaults:
    read: allow
    write: require_approval
    external: require_approval
    destructive: deny
  # deny beats require_approval beats allow. Example:
  #   - { tool: weather__forecast, agent: local, decision: allow }
  rules: []
`;
}
