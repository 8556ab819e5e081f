import type { SallyportError } from "../kernel/index.ts";
import type { FailureAnswer } from "./answers.ts";

/** A failure as REST answers it and the CLI prints it: what, why, how to fix it, and never a cause or a stack. */
export function toFailure(error: SallyportError): FailureAnswer {
  const { approval, ...data } = error.data;
  return {
    success: false,
    error: error.message,
    code: error.code,
    ...(error.detail !== undefined && { detail: error.detail }),
    ...(error.fix !== undefined && { fix: error.fix }),
    ...(Object.keys(data).length > 0 && { data }),
    ...(isApproval(approval) && { approval: { id: approval.id } }),
  };
}

function isApproval(value: unknown): value is { id: string } {
  return typeof value === "object" && value !== null && "id" in value && typeof value.id === "string";
}
