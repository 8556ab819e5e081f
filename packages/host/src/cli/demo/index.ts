export { type DemoEnd, type DemoOptions, nextSteps, runDemo } from "./run.ts";
