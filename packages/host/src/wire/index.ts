export { databaseAnswer, databaseCheckAnswer } from "./database-answers.ts";
export {
  agentAnswer,
  type AgentAnswer,
  commandAnswer,
  type CommandAnswer,
  madeTokenAnswer,
  tokenAnswer,
  type TokenAnswer,
} from "./agent-answers.ts";
export {
  auditEventAnswer,
  backupAnswer,
  callAnswer,
  doctorAnswer,
  failureAnswer,
  type FailureAnswer,
  installAnswer,
  keyAnswer,
  logLineAnswer,
  pluginInfoAnswer,
  pluginSummaryAnswer,
  revocationAnswer,
  revokedAnswer,
  secretAnswer,
  vaultAnswer,
  statusAnswer,
  storeCheckAnswer,
  toolAnswer,
  verificationAnswer,
  verifyAnswer,
} from "./answers.ts";
export type {
  CallAnswer,
  ContentAnswer,
  InstallAnswerBody,
  KeyAnswer,
  LogLineAnswer,
  PermissionAnswer,
  PluginInfoAnswer,
  PluginSummaryAnswer,
  RevocationAnswerBody,
  ToolAnswer,
  TrustAnswer,
  VerifyAnswerBody,
} from "./answers.ts";
export { type ConfigFieldAnswer, type ConfigFormAnswer, configFormAnswer } from "./config-answers.ts";
export {
  APPROVAL_STATES,
  type ApprovalAnswer,
  approvalAnswer,
  type ApprovalChangeAnswer,
  approvalChangeAnswer,
  type PromptStatsAnswer,
  promptStatsAnswer,
  type StatsAnswer,
  statsAnswer,
} from "./approval-answers.ts";
export { toFailure } from "./failure.ts";
export { learnAnswer, type LearnAnswerBody, type LearnedPermissionBody } from "./learn-answers.ts";
export {
  refreshAnswer,
  type RefreshAnswer,
  registryAnswer,
  type RegistryAnswer,
  searchAnswer,
  type SearchAnswer,
  type SearchHitAnswer,
} from "./registry-answers.ts";
export {
  gcAnswer,
  lockAnswer,
  type LockAnswerBody,
  upgradeAnswer,
  type UpgradeAnswerBody,
  type UpgradeChangeAnswer,
  upgradeRow,
  type UpgradeRowBody,
} from "./upgrade-answers.ts";
export {
  callExplanationAnswer,
  type CallExplanationAnswer,
  type DecidedAnswer,
  explanationAnswer,
  type ExplanationAnswer,
  overrideAnswer,
  policyAnswer,
  policyCheckAnswer,
  type PolicyCheckAnswer,
  simulationAnswer,
  type SimulationAnswer,
} from "./policy-answers.ts";
