import { describeContainment } from "./containment.ts";
import { lackingNamespace } from "./levels.ts";

describeContainment({
  name: "the namespace level",
  level: "namespace",
  permissions: "closed",
  elsewhere: ["package"],
  oneOfEach: true,
  lacking: await lackingNamespace(),
});
