export {
  approvalAnswer,
  auditEventAnswer,
  callAnswer,
  doctorAnswer,
  failureAnswer,
  type FailureAnswer,
  installAnswer,
  type PermissionAnswer,
  permissionAnswer,
  pluginInfoAnswer,
  pluginSummaryAnswer,
  secretAnswer,
  statusAnswer,
  toolAnswer,
  verificationAnswer,
} from "./answers.ts";
export { type ApiOptions, createApi, toFailure } from "./api.ts";
export { agentName, callerOf, OPERATORS_AGENT, type Principal } from "./principal.ts";
export { type Audience, done, type Route } from "./route.ts";
export { ROUTES } from "./routes.ts";
