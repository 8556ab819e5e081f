import type { Catalog } from "../catalog/index.ts";
import { type Agents, createAgents } from "./agents.ts";
import type { ConfigState } from "./config-state.ts";
import type { HomeParts } from "./parts.ts";
import { pluginOfTool, toolName } from "./route.ts";
import { createTokens, type Tokens } from "./tokens.ts";

export interface AgentsSources {
  readonly catalog: Pick<Catalog, "versions">;
  /** Whether operators are asked for a passphrase. */
  isGuarded(): boolean;
  readonly onDefect: (error: unknown) => void;
}

/** The agents of an open home, and the credentials of its agents and operators. */
export async function openAgents(
  { db, audit, clock }: HomeParts,
  state: ConfigState,
  { catalog, isGuarded, onDefect }: AgentsSources,
): Promise<{ readonly agents: Agents; readonly tokens: Tokens }> {
  const tokens = await createTokens({
    db,
    audit,
    clock,
    latest: () => state.time.read().now,
    onDefect,
    isGuarded,
    admits: (agent) => state.decisions.agents.admits(agent),
  });
  const agents = createAgents({
    db,
    audit,
    clock,
    profiles: () => state.decisions.agents,
    isTokenValid: tokens.isValid,
    isDeclared: (tool) => {
      const id = pluginOfTool(tool);
      return catalog
        .versions(id)
        .some(({ manifest }) => manifest.tools.some(({ name }) => toolName(id, name) === tool));
    },
    refresh: state.refresh,
  });
  return { agents, tokens };
}
