import { starterConfig } from "../../src/config/index.ts";
import { describeContainment } from "./containment.ts";
import { lackingRuntime } from "./levels.ts";

describeContainment({
  name: "the runtime level, on a machine without a kernel level, after the operator lowered the floor",
  level: "runtime",
  lacking: await lackingRuntime(),
  config: starterConfig({ pluginsEnabled: true }).replace("minimum: kernel ", "minimum: runtime "),
  options: { overrides: { levels: ["runtime"] } },
});
