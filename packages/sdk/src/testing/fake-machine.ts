import type { Requests } from "../protocol/v1/index.ts";
import { fromBase64, sallyportError, toBase64 } from "../runtime/index.ts";
import type { FakeRun, Fakes } from "./fakes.ts";

/** Commands and facts of a machine, as a test says they are. What has no fake has no grant. */
export function createFakeMachine({ exec, system = {} }: Fakes) {
  return {
    async exec({ command, args, stdin, files }: Requests["exec"]["params"]): Promise<Requests["exec"]["result"]> {
      const input = new TextDecoder().decode(fromBase64(stdin ?? ""));
      const answer = await exec?.(command, args, {
        stdin: input,
        files: Object.fromEntries(files.map(({ name, path }) => [name, path])),
      });
      if (answer === undefined) throw notGranted(command);
      return asResult(typeof answer === "string" ? { stdout: answer } : answer);
    },
    "system.get"({ facet }: Requests["system.get"]["params"]): Requests["system.get"]["result"] {
      const value = Object.hasOwn(system, facet) ? system[facet] : undefined;
      if (value === undefined) throw notGranted(facet);
      return { value };
    },
  };
}

function asResult({
  signal = null,
  code = signal === null ? 0 : null,
  stdout = "",
  stderr = "",
  truncated = false,
}: FakeRun): Requests["exec"]["result"] {
  return { code, signal, stdout: encoded(stdout), stderr: encoded(stderr), truncated };
}

function encoded(data: string | Uint8Array): string {
  return toBase64(typeof data === "string" ? new TextEncoder().encode(data) : data);
}

function notGranted(what: string): Error {
  return sallyportError("permission_denied", `This test grants no "${what}".`, "Add it to the fakes.");
}
