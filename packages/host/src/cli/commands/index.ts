export { defineApprovalCommands } from "./approval.ts";
export { defineAuditCommands } from "./audit.ts";
export { defineAuthoringCommands } from "./authoring.ts";
export { type CommandContext, globalOptions } from "./define.ts";
export { defineHostCommands } from "./host.ts";
export { defineMcpCommand } from "./mcp.ts";
export { definePluginCommands } from "./plugin.ts";
export { defineSecretCommands } from "./secret.ts";
export { defineToolCommands } from "./tool.ts";
