export { type McpSession, serveMcpSession } from "./session.ts";
