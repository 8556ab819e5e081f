import { z } from "zod";
import { handle, jsonObject } from "./fields.ts";
import { done, type Route } from "./route.ts";
import { answerCall } from "./routes-tools.ts";
import { toCommand } from "./wire-agents.ts";

const commandName = z.string().regex(/^[a-z][a-z0-9_-]{0,127}$/, "not a name of a command");

const runBody = z.strictObject({
  input: jsonObject.default({}),
  words: z.array(z.string().max(100_000)).max(100).default([]),
  values: z.record(z.string().max(200), z.string().max(1_000_000)).default({}),
  approval: handle.optional(),
});

export const commandRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/commands",
    verb: "command.list",
    audience: "agent",
    needsPassphrase: false,
    handle: async ({ host, caller }) => done((await host.commands.list(caller)).map(toCommand)),
  },
  {
    method: "POST",
    path: "/api/commands/:name/run",
    verb: "command.run",
    audience: "agent",
    needsPassphrase: false,
    handle: async (request) => {
      const { approval, ...given } = await request.body(runBody);
      const name = request.param("name", commandName);
      return answerCall(
        await request.host.commands.run(request.caller, {
          name,
          ...given,
          ...(approval !== undefined && { approvalId: approval }),
          signal: request.signal,
        }),
      );
    },
  },
];
