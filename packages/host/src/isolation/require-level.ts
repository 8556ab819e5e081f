import { type IsolationLevel, PolicyViolationError, satisfiesFloor } from "../kernel/index.ts";
import type { LevelRequirement } from "./types.ts";

/**
 * The level at which a plugin starts: the strongest one available, if plugin and operator both accept it.
 * @throws {PolicyViolationError} `isolation_unavailable`; there is no fallback to less.
 */
export function requireLevel({ floor, operatorFloor, available }: LevelRequirement): IsolationLevel {
  const level = available.find(
    (candidate) => satisfiesFloor(candidate, floor) && satisfiesFloor(candidate, operatorFloor),
  );
  if (level !== undefined) return level;
  const byPlugin = floor === "kernel";
  throw new PolicyViolationError("isolation_unavailable", "This machine cannot contain the plugin well enough.", {
    detail: `${byPlugin ? "The plugin" : "The operator's configuration"} requires a kernel level; available here: ${available.join(", ") || "none"}.`,
    fix:
      "Install bubblewrap 0.8 or newer (`apt install bubblewrap`, `dnf install bubblewrap`), or see what is missing with `sallyport doctor`." +
      (byPlugin ? "" : " Setting `isolation.minimum: runtime` in config.yml gives the kernel's walls up."),
    data: { floor, operatorFloor, available },
  });
}
