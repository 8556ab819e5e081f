/** What the runner uses of the engine. */
declare namespace Deno {
  const args: readonly string[];
  const stdin: {
    readonly readable: ReadableStream<Uint8Array>;
    read(into: Uint8Array): Promise<number | null>;
    readSync(into: Uint8Array): number | null;
  };
  function openSync(path: string): { readSync(into: Uint8Array): number | null } & Disposable;
  function statSync(path: string): { readonly nlink: number | null };
  const stdout: { writeSync(bytes: Uint8Array): number };
  const stderr: { writeSync(bytes: Uint8Array): number };
  const build: { readonly os: string; readonly arch: string };
  const version: { readonly deno: string };
  const errors: { readonly WouldBlock: new () => Error };
  const internal: symbol;
  function exit(code: number): never;
  function inspect(value: unknown, options: Readonly<Record<string, unknown>>): string;
}
