export { type Owner, type OwnerOptions, MCP_SESSION_VERB, ownerRoutes, serveOwner } from "./owner-server.ts";
export { ownerStatus, stopOwner } from "./owner-stop.ts";
export { buildProgram, run } from "./program.ts";
