import { describeContainment } from "./containment.ts";
import { lackingRuntime } from "./levels.ts";

describeContainment({
  name: "the runtime level, after the operator lowered the floor",
  level: "runtime",
  permissions: "closed",
  elsewhere: ["package"],
  lacking: await lackingRuntime(),
});
