export const APPROVAL_STATES = [
  "pending",
  "approved",
  "denied",
  "expired",
  "cancelled",
  "consumed",
  "withdrawn",
] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** Every way a request goes. A use that leaves others keeps it `approved`. What is not in here does not happen. */
export const APPROVAL_EDGES: Readonly<Record<ApprovalState, readonly ApprovalState[]>> = {
  pending: ["approved", "denied", "expired", "cancelled"],
  approved: ["consumed", "expired", "withdrawn"],
  denied: [],
  expired: [],
  cancelled: [],
  consumed: [],
  withdrawn: [],
};

/** The states from which a request may come to this one. */
export function statesBefore(to: ApprovalState): readonly ApprovalState[] {
  return APPROVAL_STATES.filter((from) => APPROVAL_EDGES[from].includes(to));
}
