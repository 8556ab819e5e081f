import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { lacking, lackingNote } from "../support/namespace.ts";

const SOAK = fileURLToPath(new URL("../../../../bench/soak.mjs", import.meta.url));

it.skipIf(lacking !== undefined)(
  `ten callers, and plugins that crash, hang, block and flood, leave flat memory, no process and no lost event${lackingNote}`,
  { timeout: 180_000 },
  async () => {
    const child = spawn(process.execPath, [SOAK, "--seconds", "20", "--json"], { stdio: ["ignore", "pipe", "pipe"] });
    const code = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect({ code: await code, err }).toEqual({ code: 0, err: "" });
    const result: unknown = JSON.parse(out);
    expect(result).toMatchObject({ problems: [] });
    // It did what it is for.
    expect(result).toMatchObject({ answers: { succeeded: expect.any(Number), plugin_crashed: expect.any(Number) } });
    expect(result).toMatchObject({ lifecycle: { idle: expect.any(Number), unhealthy: expect.any(Number) } });
  },
);
