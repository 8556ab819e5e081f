export { agentSetup } from "./agent-setup.ts";
export { createHome, openHome, resolveHome } from "./home.ts";
export { connectOwner, type OwnerClient } from "./owner-client.ts";
export { MCP_PROTOCOL, type Owner, type OwnerOptions, ownerRoutes, serveOwner } from "./owner-server.ts";
export { buildProgram, run } from "./program.ts";
