import { type ErrorCode, ERROR_CODES, type ErrorCategory } from "./error-codes.ts";

export interface ErrorDetails {
  /** Why it happened, in one sentence. */
  detail?: string;
  /** What the reader can do about it, in one sentence. */
  fix?: string;
  /** Machine-readable facts about the failure: names, limits, expected and actual values. Never secrets or host paths of others. */
  data?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** The one error type of every surface: what (`message`), why (`detail`), how to fix it (`fix`), and a stable `code`. */
export class SallyportError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly fix: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "SallyportError";
    this.code = code;
    this.detail = details.detail;
    this.fix = details.fix;
    this.data = details.data ?? {};
  }

  get category(): ErrorCategory {
    return ERROR_CODES[this.code].category;
  }
}

/** Every denial: policy, permission, approval, trust and lifecycle gates. */
export class PolicyViolationError extends SallyportError {
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
    this.name = "PolicyViolationError";
  }
}

/** Turns anything thrown into a `SallyportError`; what is not ours becomes `internal`, with no text of its own. */
export function toSallyportError(thrown: unknown): SallyportError {
  if (thrown instanceof SallyportError) return thrown;
  return new SallyportError("internal", "Something went wrong inside Sallyport.", {
    detail: "The cause is in the host's log, not shown here so that no path or secret leaks.",
    cause: thrown,
  });
}
