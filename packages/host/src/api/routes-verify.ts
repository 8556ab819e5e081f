import { z } from "zod";
import type { StoreCheckAnswer } from "../host-api.ts";
import { type Answer, done, type Route, type RouteRequest } from "./route.ts";
import { createFeed } from "./stream.ts";

export const verifyRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/api/plugins/verify-all",
    verb: "plugin.verify-all",
    audience: "operator",
    needsPassphrase: false,
    handle: verifyAll,
  },
];

async function verifyAll(request: RouteRequest): Promise<Answer> {
  const operator = request.operator();
  const { full = true } = await request.body(z.strictObject({ full: z.boolean().optional() }));
  const run = (onProgress?: (index: number, of: number) => void): Promise<StoreCheckAnswer> =>
    request.host.plugins.verifyAll(operator, { full, ...(onProgress && { onProgress }) });
  if (!request.wantsLines) return done(await run());
  const feed = createFeed<unknown>(request.signal);
  const answer = run((index, of) => feed.push({ step: { name: "verify", index, of } }));
  const finish = (): void => feed.end();
  answer.then(finish, finish);
  return {
    lines: (async function* () {
      yield* feed.values;
      yield { answer: { success: true, result: await answer } };
    })(),
  };
}
