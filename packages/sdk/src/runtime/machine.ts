import type { CallId } from "../protocol/v1/index.ts";
import type { Context, System } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import type { HostPort } from "./port.ts";

/** `ctx.exec`: one run of a command of the host's machine. */
export function createExec(port: HostPort, call: CallId): Context["exec"] {
  return async (command, args = [], { stdin, files = {}, timeout } = {}) => {
    const input = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
    const answer = await port.request("exec", {
      call,
      command,
      args: [...args],
      stdin: input === undefined ? null : toBase64(input),
      files: Object.entries(files).map(([name, path]) => ({ name, path })),
      timeout_ms: timeout === undefined ? null : Math.max(1, Math.ceil(timeout)),
    });
    const bytes = fromBase64(answer.stdout);
    return {
      code: answer.code,
      signal: answer.signal,
      stdout: text(bytes),
      stderr: text(fromBase64(answer.stderr)),
      bytes,
      truncated: answer.truncated,
    };
  };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function createSystem(port: HostPort, call: CallId): System {
  return { get: async (facet) => (await port.request("system.get", { call, facet })).value };
}
