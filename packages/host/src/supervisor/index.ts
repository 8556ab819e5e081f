export { createLauncher, type LauncherDeps } from "./launcher.ts";
export type { SupervisorLimits } from "./limits.ts";
export type {
  BrokerSession,
  CallContext,
  EgressDoor,
  LaunchPlan,
  Launcher,
  McpToolPin,
  PluginProcess,
  PluginView,
  ProcessExit,
  ProcessLimits,
  ProcessState,
  ProgramPlan,
  Progress,
  ToolAnswer,
  ToolCall,
} from "./types.ts";
