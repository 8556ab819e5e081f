export {
  approvalAnswer,
  auditEventAnswer,
  callAnswer,
  doctorAnswer,
  failureAnswer,
  type FailureAnswer,
  installAnswer,
  logLineAnswer,
  pluginInfoAnswer,
  pluginSummaryAnswer,
  secretAnswer,
  statusAnswer,
  toolAnswer,
  verificationAnswer,
} from "./answers.ts";
export type {
  ApprovalAnswer,
  CallAnswer,
  InstallAnswerBody,
  LogLineAnswer,
  PermissionAnswer,
  PluginInfoAnswer,
  PluginSummaryAnswer,
  ToolAnswer,
} from "./answers.ts";
export { toFailure } from "./failure.ts";
