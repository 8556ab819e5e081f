/** What the runner uses of the engine. */
declare namespace Deno {
  const stdin: { read(into: Uint8Array): Promise<number | null>; readSync(into: Uint8Array): number | null };
  const stdout: { writeSync(bytes: Uint8Array): number };
  const stderr: { writeSync(bytes: Uint8Array): number };
  const build: { readonly os: string; readonly arch: string };
  const version: { readonly deno: string };
  const errors: { readonly WouldBlock: new () => Error };
  const internal: symbol;
  function exit(code: number): never;
  function inspect(value: unknown, options: Readonly<Record<string, unknown>>): string;
}
