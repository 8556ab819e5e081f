export { readAttacks, wordOf } from "./list.ts";
export { packageAttacks } from "./packages.ts";
export { runSetting } from "./run.ts";
export { attacksFor, levelsToAttack, runSettings, settingsOf } from "./settings.ts";
export type { Attack, AttackResult, AttackStep, Ending, LevelResult, Setting } from "./types.ts";
