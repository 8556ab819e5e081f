import { agentRoutes } from "./routes-agents.ts";
import { approvalRoutes } from "./routes-approvals.ts";
import { backupRoutes } from "./routes-backup.ts";
import { commandRoutes } from "./routes-commands.ts";
import { databaseRoutes } from "./routes-databases.ts";
import { keyRoutes } from "./routes-keys.ts";
import { learnRoutes } from "./routes-learn.ts";
import { operateRoutes } from "./routes-operate.ts";
import { pluginRouteRoutes } from "./routes-plugin-routes.ts";
import { pluginRoutes } from "./routes-plugins.ts";
import { revocationRoutes } from "./routes-revocations.ts";
import { policyRoutes } from "./routes-policy.ts";
import { registryRoutes } from "./routes-registries.ts";
import { upgradeRoutes } from "./routes-upgrade.ts";
import { tokenRoutes } from "./routes-tokens.ts";
import { toolRoutes } from "./routes-tools.ts";
import { verifyRoutes } from "./routes-verify.ts";
import { done, type Route } from "./route.ts";

const openRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/healthz",
    verb: "healthz",
    audience: "open",
    needsPassphrase: false,
    handle: async () => done("ok"),
  },
];

/** The whole API. Nothing is routed that is not in here. */
export const ROUTES: readonly Route[] = [
  ...openRoutes,
  ...pluginRoutes,
  ...learnRoutes,
  ...upgradeRoutes,
  ...toolRoutes,
  ...commandRoutes,
  ...pluginRouteRoutes,
  ...agentRoutes,
  ...tokenRoutes,
  ...databaseRoutes,
  ...keyRoutes,
  ...registryRoutes,
  ...revocationRoutes,
  ...verifyRoutes,
  ...backupRoutes,
  ...policyRoutes,
  ...approvalRoutes,
  ...operateRoutes,
];
