import { describeContainment } from "./containment.ts";
import { lackingLandlock } from "./levels.ts";

describeContainment({
  name: "the landlock level, with the runtime's own permissions all open",
  level: "landlock",
  permissions: "open",
  elsewhere: ["package", "protocol"],
  lacking: await lackingLandlock(),
});
