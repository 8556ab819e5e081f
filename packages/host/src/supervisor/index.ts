export { createLauncher, type LauncherDeps } from "./launcher.ts";
export type { SupervisorLimits } from "./limits.ts";
export type {
  BrokerSession,
  CallContext,
  EgressDoor,
  LaunchPlan,
  Launcher,
  PluginProcess,
  PluginView,
  ProcessExit,
  ProcessLimits,
  ProcessState,
  Progress,
  ToolAnswer,
  ToolCall,
} from "./types.ts";
