import { z } from "zod";
import { agentProfileShape, toAgentProfile } from "../config/index.ts";
import { nothing, toolName } from "./fields.ts";
import { done, type Route } from "./route.ts";
import { toAgent } from "./wire-agents.ts";

/** Any text: the host has the rule for names, and says it. */
const agent = z.string().max(200);

export const agentRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/agents",
    verb: "agent.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) =>
      done({ agents: (await host.agents.list()).map(toAgent), enabled_tools: [...(await host.agents.enabledTools())] }),
  },
  {
    method: "PUT",
    path: "/api/agents/:name",
    verb: "agent.set",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const profile = toAgentProfile(await request.body(agentProfileShape));
      return done(toAgent(await request.host.agents.set(request.operator(), request.param("name", agent), profile)));
    },
  },
  {
    method: "DELETE",
    path: "/api/agents/:name",
    verb: "agent.remove",
    audience: "operator",
    // What denied an agent something goes with it.
    needsPassphrase: true,
    handle: async (request) => {
      const name = request.param("name", agent);
      await request.host.agents.remove(request.operator(), name);
      return done({ name });
    },
  },
  {
    method: "POST",
    path: "/api/tools/:name/enable",
    verb: "tool.enable",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      await request.body(nothing);
      const name = request.param("name", toolName);
      await request.host.agents.enableTool(request.operator(), name, true);
      return done({ name, enabled: true });
    },
  },
  {
    method: "POST",
    path: "/api/tools/:name/disable",
    verb: "tool.disable",
    audience: "operator",
    // It takes authority away: whoever is in a hurry must not look for a passphrase.
    needsPassphrase: false,
    handle: async (request) => {
      await request.body(nothing);
      const name = request.param("name", toolName);
      await request.host.agents.enableTool(request.operator(), name, false);
      return done({ name, enabled: false });
    },
  },
];
