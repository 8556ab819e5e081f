export {
  AGENT_NAME,
  type AgentProfile,
  type AgentProfileFile,
  agentProfileShape,
  type AgentsConfig,
  toAgentProfile,
} from "./agents.ts";
export { type AllowListEntry, type HostConfig, type HostEntry, parseConfig } from "./config.ts";
export { type CaseResult, runPolicyCases } from "./policy-cases.ts";
export { assertUsable, type PolicyText, readPolicyText } from "./policy-file.ts";
export { starterConfig } from "./starter.ts";
