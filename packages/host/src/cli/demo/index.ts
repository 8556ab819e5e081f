export { type Attack, readAttacks } from "./attacks.ts";
export { type DemoEnd, type DemoOptions, nextSteps, runDemo } from "./run.ts";
