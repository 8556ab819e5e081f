import { starterConfig } from "../../src/config/index.ts";
import { describeContainment } from "./containment.ts";
import { lackingLandlock } from "./levels.ts";

describeContainment({
  name: "the landlock level, with the runtime's own permissions all open",
  level: "landlock",
  lacking: await lackingLandlock(),
  config: starterConfig({ pluginsEnabled: true }).replace("isolation:", "isolation:\n  driver: landlock"),
  options: { overrides: { openRuntimePermissions: true } },
});
