export { type ControlGroupReport, type ControlGroups } from "./cgroup.ts";
export { type ControlGroup, type GroupCounts, type GroupLimits } from "./cgroup-group.ts";
export { type CodeCacheMarks, type CodeCaches, createCodeCaches } from "./code-cache.ts";
export { engineName, installedEngine, placeEngine, type PlacementOptions, storeRoot } from "./engine.ts";
export { type PluginThread, spawnThread, type ThreadSpec } from "./in-process.ts";
export { groupLimits, RUNTIME_MEMORY_BYTES, TASKS } from "./limits.ts";
export { planSandbox } from "./plan.ts";
export { checkCommand, type CommandFile, findCommand, type FoundCommand } from "./command-file.ts";
export { planCommand } from "./command.ts";
export { createInterpreters, type Interpreters, lookAtInterpreters } from "./interpreters.ts";
export { NOBODY } from "./namespace.ts";
export { type Probe, probeIsolation, type ProbeOptions } from "./probe.ts";
export { requireLevel } from "./require-level.ts";
export { spawnSandboxed } from "./spawn.ts";
export { planSqlite, type SqliteSpec } from "./sqlite.ts";
export type {
  CommandSpec,
  EnginePaths,
  Interpreter,
  LevelReport,
  LevelRequirement,
  ProbeReport,
  ProgramSpec,
  SandboxedProcess,
  SandboxExit,
  SandboxPlan,
  SandboxSpec,
  SandboxTools,
  SandboxUsage,
} from "./types.ts";
