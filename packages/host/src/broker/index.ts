export { type AddressClass, classifyAddress } from "./addresses.ts";
export { createBroker } from "./broker.ts";
export { postgresOrigin } from "./database-postgres.ts";
export { createDatabases, type Databases, type DatabasesDeps } from "./databases.ts";
export type { DatabaseCheck, DatabaseConnection, DatabaseLimits } from "./database-types.ts";
export { sweepEgressPlaces } from "./egress-place.ts";
export { sweepCommandFolders } from "./exec-folder.ts";
export { isNeverGrantable } from "./forbidden.ts";
export type { FileLimits } from "./files-limits.ts";
export { KV_LIMITS } from "./kv.ts";
export type { NetworkLimits } from "./network-limits.ts";
export type { Resolver } from "./resolve.ts";
export type {
  AgentPort,
  Authority,
  Broker,
  BrokerAction,
  BrokerDeps,
  BrokerLogLine,
  EventsPort,
  PluginSession,
} from "./types.ts";
