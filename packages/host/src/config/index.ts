export { type AllowListEntry, type HostConfig, type HostEntry, parseConfig } from "./config.ts";
export { starterConfig } from "./starter.ts";
