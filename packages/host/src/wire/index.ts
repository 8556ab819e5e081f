export {
  approvalAnswer,
  auditEventAnswer,
  callAnswer,
  doctorAnswer,
  failureAnswer,
  type FailureAnswer,
  installAnswer,
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
  PermissionAnswer,
  PluginInfoAnswer,
  PluginSummaryAnswer,
  ToolAnswer,
} from "./answers.ts";
export { toFailure } from "./failure.ts";
