import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLab, type Lab, LEVELS, toolCall } from "../supervisor/support.ts";
import { type Row, ROWS } from "./rows.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

function start({ attack, raw, open, options = {} }: Row, level: (typeof LEVELS)[number]["level"]) {
  const all = { ...options, level, openRuntimePermissions: open?.includes(level) === true };
  return raw === true
    ? lab.startRaw(`await behave(async (message) => { if (message.method === "call") { ${attack} } });`, all)
    : lab.start(`export default { tools: { async echo() { ${attack} } } };`, all);
}

describe.each(LEVELS)("at level $level $note", ({ level, available }) => {
  it.skipIf(!available).each(ROWS.map((row) => [row.limit, row] as const))("%s trips", async (_limit, row) => {
    const process = await start(row, level);
    const wanted = row.answer(level);
    const got = await process.call(toolCall("echo", {}, { timeoutMs: row.timeoutMs ?? 20_000 })).then(
      ({ output }) => String(output),
      (error: { code: string }) => error.code,
    );
    if (typeof wanted === "string") expect(got).toBe(wanted);
    else expect(got).toMatch(wanted);
    if (row.ends === undefined) return expect(process.state).toBe("running");
    expect(await process.exited).toMatchObject({ expected: false, reason: expect.stringMatching(row.ends) });
  });
});
