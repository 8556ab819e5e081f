import { beforeEach } from "vitest";
import { lackingNamespace } from "../hostile/levels.ts";

/** Why no plugin can run at `namespace` here; `undefined` when one can. */
export const lacking = await lackingNamespace();

/** Put into the title of a suite that is skipped, so that the reason is in the report. */
export const lackingNote = lacking === undefined ? "" : ` (not on this machine: ${lacking})`;

/** Reports the tests of a file as skipped, with the reason, on a machine where no plugin can run at `namespace`. */
export function needsNamespace(): void {
  beforeEach((context) => context.skip(lacking !== undefined, `not on this machine: ${lacking}`));
}
