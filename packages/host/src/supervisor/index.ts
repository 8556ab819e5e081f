export type {
  BrokerSession,
  CallContext,
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
