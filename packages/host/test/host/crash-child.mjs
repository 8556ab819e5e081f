/** Owns a home, calls a write tool without pause, and says on stdout which calls were acknowledged. Ends only by a signal. */
import { createHost } from "../../dist/index.js";

const host = await createHost({ home: process.argv[2] });
const caller = { kind: "agent", agent: "crash" };

async function callForEver(worker) {
  for (let n = 0; ; n++) {
    const answer = await host.invoke(caller, { tool: "echo__note", input: { text: `${worker}-${n}` } });
    if (answer.success) process.stdout.write(`${answer.callId}\n`);
    else process.stdout.write(`failed ${answer.code}\n`);
  }
}

process.stdout.write("open\n");
await Promise.all(Array.from({ length: 8 }, (_, worker) => callForEver(worker)));
