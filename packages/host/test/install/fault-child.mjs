/** Installs a plugin and dies with -9 as the named step begins ("store:2": for the second time); with "none" goes through. Says how it ended. */
import { createHost } from "../../dist/index.js";

const [home, source, fatal] = process.argv.slice(2);
const [step, times = "1"] = fatal.split(":");
let left = Number(times);
const host = await createHost({ home });
try {
  await host.plugins.install(
    { name: "tester" },
    {
      source,
      onStep: ({ name }) => {
        if (name === step && --left === 0) process.kill(process.pid, "SIGKILL");
      },
    },
  );
  process.stdout.write("installed");
} catch (error) {
  process.stdout.write(`failed ${error.code}`);
}
await host.close();
