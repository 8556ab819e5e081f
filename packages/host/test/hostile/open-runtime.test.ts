import { starterConfig } from "../../src/config/index.ts";
import { describeContainment } from "./containment.ts";
import { lackingNamespace } from "./levels.ts";

describeContainment({
  name: "the namespace level, with the runtime's own permissions all open",
  level: "namespace",
  lacking: await lackingNamespace(),
  config: starterConfig({ pluginsEnabled: true }),
  options: { overrides: { openRuntimePermissions: true } },
});
