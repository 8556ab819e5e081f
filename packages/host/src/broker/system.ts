import { arch, availableParallelism, freemem, hostname, loadavg, platform, release, totalmem, uptime } from "node:os";
import { z } from "zod";
import { isSystemFacet, type SystemFacet } from "../capability/index.ts";
import { displayLine, PolicyViolationError } from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { Reach } from "./reach.ts";

const Get = wire({ facet: z.string().max(64) });
const TEXT_CHARS = 255;
const MIB = 1024 * 1024;

const text = (value: string): string => displayLine(value, TEXT_CHARS);

/** Each fact as it is told: rounded to what is of use, so that it tells little else. */
const FACTS: Readonly<Record<SystemFacet, () => unknown>> = {
  hostname: () => text(hostname()),
  platform: () => platform(),
  arch: () => arch(),
  release: () => text(release()),
  cpus: () => availableParallelism(),
  load: () => loadavg().map((value) => Math.round(value * 100) / 100),
  memory: () => ({ total_mb: Math.round(totalmem() / MIB), free_mb: Math.round(freemem() / MIB) }),
  uptime: () => Math.floor(uptime()),
  timezone: () => text(Intl.DateTimeFormat().resolvedOptions().timeZone),
  locale: () => text(Intl.DateTimeFormat().resolvedOptions().locale),
};

export interface SystemDeps {
  readonly reach: Reach;
  readonly report: (context: CallContext, facet: string, error?: unknown) => void;
}

/** `system.get`: one granted fact about this machine. */
export function createSystem({ reach, report }: SystemDeps): Readonly<Record<string, Operation>> {
  return {
    "system.get": callOperation(Get, async ({ facet }, context) => {
      const shown = displayLine(facet, 64);
      try {
        if (!isSystemFacet(facet) || !reach.allows({ capability: "system", facet })) {
          throw new PolicyViolationError("permission_denied", `The plugin may not learn ${shown} of this machine.`, {
            fix: "Declare it under permissions.system and have an operator approve it.",
            data: { capability: "system" },
          });
        }
        const value = FACTS[facet]();
        report(context, shown);
        return { value };
      } catch (error) {
        report(context, shown, error);
        throw error;
      }
    }),
  };
}
