/** Thrown for an answer that says of itself that it is a failure. */
export class ReportedFailure extends Error {
  constructor(reason: unknown) {
    super(typeof reason === "string" && reason !== "" ? reason : "The plugin reported a failure and no reason.");
    this.name = "ReportedFailure";
  }
}

/** For tools of `tools`: `{ success: false, error }` is a failure, all else is the output as it stands. */
export function unwrapFailure(answer: unknown): unknown {
  return later(answer, (value) => {
    if (isEnvelope(value) && value.success === false && typeof value.error === "string") throw new ReportedFailure(value.error);
    return value;
  });
}

/** For class-style plugins: `{ success: false }` is a failure, `{ success: true, result }` is its result. */
export function unwrapAnswer(answer: unknown): unknown {
  return later(answer, (value) => {
    if (!isEnvelope(value)) return value;
    if (value.success === false) throw new ReportedFailure(value.error);
    return value.success === true && "result" in value ? value.result : value;
  });
}

/* A thenable of a library is awaited as well. A tool that answers at once stays synchronous: the hot path has no promise that is not needed. */
function later(value: unknown, step: (value: unknown) => unknown): unknown {
  if (value instanceof Promise) return value.then(step);
  return isThenable(value) ? Promise.resolve(value).then(step) : step(value);
}

function isEnvelope(value: unknown): value is { success: unknown; error?: unknown; result?: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && "success" in value;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
