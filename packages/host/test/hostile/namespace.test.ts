import { starterConfig } from "../../src/config/index.ts";
import { describeContainment } from "./containment.ts";
import { lackingNamespace } from "./levels.ts";

describeContainment({
  name: "the namespace level",
  level: "namespace",
  lacking: await lackingNamespace(),
  config: starterConfig({ pluginsEnabled: true }),
  options: {},
});
