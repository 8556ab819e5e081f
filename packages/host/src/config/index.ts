export { type AllowListEntry, type HostConfig, parseConfig } from "./config.ts";
export { starterConfig } from "./starter.ts";
