import { type IsolationLevel, PolicyViolationError, satisfiesFloor } from "../kernel/index.ts";
import type { LevelRequirement } from "./types.ts";

/**
 * The level at which a plugin starts: the strongest one available, if plugin and operator both accept it.
 * @throws {PolicyViolationError} `isolation_unavailable`; there is no fallback to less.
 */
export function requireLevel(requirement: LevelRequirement): IsolationLevel {
  const { floor, operatorFloor, driver = "auto", available } = requirement;
  const level = available.find(
    (candidate) =>
      (driver === "auto" || candidate === driver) &&
      satisfiesFloor(candidate, floor) &&
      satisfiesFloor(candidate, operatorFloor),
  );
  if (level !== undefined) return level;
  if (driver !== "auto") throw notThatDriver(driver, available);
  const byPlugin = floor === "kernel";
  throw new PolicyViolationError("isolation_unavailable", "This machine cannot contain the plugin well enough.", {
    detail: `${byPlugin ? "The plugin" : "The operator's configuration"} requires a kernel level; available here: ${available.join(", ") || "none"}.`,
    fix:
      "Install bubblewrap 0.8 or newer (`apt install bubblewrap`, `dnf install bubblewrap`), or see what is missing with `sallyport doctor`." +
      (byPlugin ? "" : " Setting `isolation.minimum: runtime` in config.yml gives the kernel's walls up."),
    data: { floor, operatorFloor, available },
  });
}

function notThatDriver(driver: IsolationLevel, available: readonly IsolationLevel[]): PolicyViolationError {
  return new PolicyViolationError("isolation_unavailable", `This machine does not have the level "${driver}".`, {
    detail: `The operator's configuration names it as the driver; available here: ${available.join(", ") || "none"}.`,
    fix: "See what it lacks with `sallyport doctor`, or set `isolation.driver: auto` in config.yml.",
    data: { driver, available },
  });
}
