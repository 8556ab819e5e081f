export { type CallApprovals, type CallBinding, createCallApprovals } from "./calls.ts";
export { type CallAnswer, decideCall, decidedEvent, getApproval } from "./decide.ts";
