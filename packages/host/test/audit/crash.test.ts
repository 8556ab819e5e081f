import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { parse, temporaryLogs } from "./log-home.ts";

const logs = temporaryLogs();
const DIST = new URL("../../dist/", import.meta.url).href;

/** Appends from 16 writers and prints the id of every event once it is acknowledged, until it is killed. */
const WRITER = `
  import { writeSync } from "node:fs";
  import { openAuditLog } from "${DIST}audit/index.js";
  import { loadOrCreateSigningKey, openDatabase, saveSetting } from "${DIST}store/index.js";
  import { systemClock } from "${DIST}kernel/index.js";
  const [home, run] = process.argv.slice(1);
  const database = await openDatabase({ path: home + "/state.db", clock: systemClock });
  const signingKey = await loadOrCreateSigningKey(home + "/keys/audit.pem");
  const audit = await openAuditLog({ database, clock: systemClock, signingKey, checkpointEvery: 50 });
  let next = 0;
  async function write(writer) {
    for (;;) {
      const id = run + "-" + next++;
      const event = { v: 1, id, time: Date.now(), type: "plugin_tool.invoked", actor: "agent:local", call_id: id };
      if (writer % 4 === 0) await audit.commit([saveSetting(id, "done")], [event]);
      else await audit.record(event);
      writeSync(1, id + "\\n");
    }
  }
  for (let writer = 0; writer < 16; writer++) void write(writer);
`;

describe("kill -9 under load, twelve times on one home", () => {
  it("leaves a store that opens, a chain that verifies, and every acknowledged event with its change of state", async () => {
    const home = await logs.directory();
    const acknowledged: string[] = [];
    for (let run = 0; run < 12; run++) {
      const child = spawn(process.execPath, ["--input-type=module", "-e", WRITER, home, `r${run}`], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const closed = once(child, "close");
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        // At another moment each time, always in the middle of a commit of some of the writers.
        if (output.length > 200 + run * 331) child.kill("SIGKILL");
      });
      await closed;
      acknowledged.push(...output.slice(0, output.lastIndexOf("\n")).split("\n"));
    }
    const { audit, database } = await logs.open(home);
    const verification = await audit.verify();
    expect(verification.problems).toEqual([]);
    expect(verification.events).toBeGreaterThanOrEqual(acknowledged.length);
    const stored = new Set<string>();
    for await (const line of audit.export()) stored.add(String(parse(line)["id"]));
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    const settings = await database.query.selectFrom("settings").select("key").execute();
    expect(settings.map(({ key }) => key).filter((key) => !stored.has(key))).toEqual([]);
    expect((await audit.query({ call: acknowledged.at(-1) ?? "" })).map(({ id }) => id)).toEqual([acknowledged.at(-1)]);
  });
});
