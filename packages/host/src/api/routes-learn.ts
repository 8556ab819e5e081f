import { z } from "zod";
import type { LearnAnswer } from "../host-api.ts";
import type { LearnAnswerBody } from "../wire/index.ts";
import { count, pluginId } from "./fields.ts";
import { done, type Route } from "./route.ts";

const yesOrNo = z.enum(["true", "false"]).optional();
const learnQuery = z.strictObject({
  since: count.optional(),
  include_refused: yesOrNo,
  all_versions: yesOrNo,
});

export const learnRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/plugins/learn/:id",
    verb: "plugin.learn",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { since, include_refused: includeRefused, all_versions: allVersions } = request.query(learnQuery);
      const answer = await request.host.plugins.learn(request.param("id", pluginId), {
        ...(since !== undefined && { since }),
        includeRefused: includeRefused === "true",
        allVersions: allVersions === "true",
      });
      return done(toLearn(answer));
    },
  },
];

/** As it is on the wire. */
export function toLearn(answer: LearnAnswer): LearnAnswerBody {
  const { neverCalled, permissions, refused, approve, ...same } = answer;
  return {
    ...same,
    never_called: [...neverCalled],
    permissions: permissions.map(({ lastUsed, proposed, ...permission }) => ({
      ...permission,
      proposed: [...proposed],
      last_used: lastUsed,
    })),
    refused: [...refused],
    manifest: Object.fromEntries(Object.entries(answer.manifest).map(([key, entries]) => [key, [...entries]])),
    approve: approve === null ? null : { only: [...approve.only], scopes: [...approve.scopes] },
  };
}
