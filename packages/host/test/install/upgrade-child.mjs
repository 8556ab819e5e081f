/** Upgrades the plugin t and dies with -9 right after the n-th event of it is durable (0: never). Says how it ended, after how many. */
import { createHost } from "../../dist/index.js";

const [home, source, fatal] = process.argv.slice(2);
const host = await createHost({ home });
const operator = { name: "tester" };
await host.plugins.load(operator, "t");
let events = 0;
host.audit.subscribe(() => {
  if (++events === Number(fatal)) process.kill(process.pid, "SIGKILL");
});
const { digest } = await host.plugins.upgrade(operator, "t", { source, dryRun: true });
const { state } = await host.plugins.upgrade(operator, "t", { source, approve: digest });
await host.audit.flush();
process.stdout.write(`${state} ${events}`);
await host.close();
