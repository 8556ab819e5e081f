import { z } from "zod";
import { canonicalBase64 } from "./base64.ts";
import { createBodies } from "./bodies.ts";
import { CHUNK_BYTES, type NetworkLimits } from "./network-limits.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import { createPlaces, type RateLimit } from "./rate.ts";
import type { RequestSecrets } from "./request-secrets.ts";
import { createFetch, type FetchDeps } from "./fetch.ts";
import { createUploads } from "./uploads.ts";

const Fetch = wire({
  url: z.string(),
  method: z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/),
  headers: z.array(z.tuple([z.string(), z.string()])).max(256),
  body: z.string().nullable(),
  upload: z.string().min(1).max(64).nullable(),
  redirect: z.enum(["follow", "manual", "error"]),
  secrets: z.array(z.string().max(128)).max(32),
});
const Read = wire({ stream: z.string().max(64) });
const Write = wire({ upload: z.string().min(1).max(64), data: z.string(), done: z.boolean() });

export interface NetworkDeps extends Omit<FetchDeps, "bodies" | "uploads" | "places"> {
  readonly limits: NetworkLimits;
  readonly secrets: RequestSecrets;
  readonly rate: RateLimit;
}

export interface NetworkOperations {
  readonly operations: Readonly<Record<string, Operation>>;
  endCall(callId: string): void;
  close(): void;
}

/** `fetch` and the bodies of its requests and answers. */
export function createNetwork(deps: NetworkDeps): NetworkOperations {
  const bodies = createBodies();
  const uploads = createUploads({
    maxBytes: deps.limits.requestBytes,
    inspect: (bytes) => deps.secrets.refuseIn(bytes),
    overlap: Math.max(0, deps.secrets.longest - 1),
  });
  const fetch = createFetch({ ...deps, bodies, uploads, places: createPlaces(deps.limits.concurrent) });

  return {
    operations: {
      fetch: callOperation(
        Fetch,
        (params, context, signal) => fetch.run(params, context, signal),
        (params, context) => fetch.prepare(params, context),
      ),
      "body.read": callOperation(Read, async ({ stream }, { callId }) => {
        const { data, done } = await bodies.read(callId, stream);
        return { data: data.toString("base64"), done };
      }),
      "body.cancel": callOperation(Read, async ({ stream }, { callId }) => {
        bodies.cancel(callId, stream);
        return {};
      }),
      "body.write": callOperation(Write, async ({ upload, data, done }, { callId }) => {
        await uploads.write(callId, upload, canonicalBase64(data, 4 * CHUNK_BYTES), done);
        return {};
      }),
    },
    endCall(callId) {
      bodies.endCall(callId);
      uploads.endCall(callId);
    },
    close() {
      bodies.close();
      uploads.close();
      deps.transport.close();
    },
  };
}
