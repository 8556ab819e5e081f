/** What a function of `ctx` rejects with when the host refuses or fails. */
export interface SallyportError extends Error {
  readonly name: "SallyportError";
  /** A stable code: `permission_denied`, `address_refused`, `quota_exceeded`, … (docs/errors.md). */
  readonly code: string;
  /** What the reader can do about it. */
  readonly fix?: string;
}

/** True for errors of the host. Not a class, because the plugin's bundle and the runner hold copies of their own. */
export function isSallyportError(thrown: unknown): thrown is SallyportError {
  return (
    thrown instanceof Error && thrown.name === "SallyportError" && "code" in thrown && typeof thrown.code === "string"
  );
}

export function sallyportError(code: string, message: string, fix?: string): SallyportError {
  const facts =
    fix === undefined ? { name: "SallyportError" as const, code } : { name: "SallyportError" as const, code, fix };
  return Object.assign(new Error(message), facts);
}
