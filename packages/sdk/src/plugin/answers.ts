/** Thrown for an answer that says of itself that it is a failure. */
export class ReportedFailure extends Error {
  constructor(reason: unknown) {
    super(typeof reason === "string" && reason !== "" ? reason : "The plugin reported a failure and no reason.");
    this.name = "ReportedFailure";
  }
}

/** For tools of `tools`: `{ success: false, error }` is a failure, all else is the output as it stands. */
export function readOutput(answer: unknown): unknown {
  if (isEnvelope(answer) && answer.success === false && typeof answer.error === "string")
    throw new ReportedFailure(answer.error);
  return answer;
}

/** For class-style plugins: `{ success: false }` is a failure, `{ success: true, result }` is its result. */
export function readActionAnswer(answer: unknown): unknown {
  if (!isEnvelope(answer)) return answer;
  if (answer.success === false) throw new ReportedFailure(answer.error);
  return answer.success === true && "result" in answer ? answer.result : answer;
}

function isEnvelope(value: unknown): value is { success: unknown; error?: unknown; result?: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && "success" in value;
}
