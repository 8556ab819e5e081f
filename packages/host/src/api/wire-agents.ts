import type { AgentProfileFile } from "../config/index.ts";
import type { AgentView, CommandSummary, TokenView } from "../host-api.ts";
import type { AgentAnswer, CommandAnswer, TokenAnswer } from "../wire/index.ts";

export function toAgent(agent: AgentView): AgentAnswer {
  return {
    name: agent.name,
    from: [...agent.from],
    profile: toProfile(agent.profile),
    admitted: agent.admitted,
    calls_in_flight: agent.callsInFlight,
    calls_last_minute: agent.callsLastMinute,
    limited: agent.limited,
  };
}

function toProfile(profile: AgentView["profile"]): AgentProfileFile {
  const { tools, deny, strongestEffect, enabledTools, callsPerMinute, callsInFlight } = profile;
  return {
    ...(tools && { tools: [...tools] }),
    ...(deny && { deny: [...deny] }),
    ...(strongestEffect !== undefined && { strongest_effect: strongestEffect }),
    ...(enabledTools && { enabled_tools: [...enabledTools] }),
    ...(callsPerMinute !== undefined && { calls_per_minute: callsPerMinute }),
    ...(callsInFlight !== undefined && { calls_in_flight: callsInFlight }),
  };
}

export function toToken(token: TokenView): TokenAnswer {
  return {
    id: token.id,
    kind: token.kind,
    name: token.name,
    scopes: [...token.scopes],
    guarded: token.guarded,
    state: token.state,
    created_by: token.createdBy,
    created_at: token.createdAt,
    expires_at: token.expiresAt,
    last_used_at: token.lastUsedAt,
  };
}

export function toCommand(command: CommandSummary): CommandAnswer {
  return {
    name: command.name,
    plugin: command.plugin,
    command: command.command,
    description: command.description,
    tool: command.tool,
    words: [...command.words],
    input_schema: typeof command.inputSchema === "boolean" ? command.inputSchema : { ...command.inputSchema },
  };
}
