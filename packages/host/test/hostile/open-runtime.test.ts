import { describeContainment } from "./containment.ts";
import { lackingNamespace } from "./levels.ts";

describeContainment({
  name: "the namespace level, with the runtime's own permissions all open",
  level: "namespace",
  permissions: "open",
  lacking: await lackingNamespace(),
});
