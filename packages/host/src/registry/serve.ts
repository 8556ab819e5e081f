import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Hono } from "hono";
import { POINTER_FILE } from "./index-format.ts";

/** The only names that are served: the signed file, indexes, archives. No path has a folder in it. */
const SERVED = /^(?:registry\.json|index-[0-9a-f]{64}\.jsonl|[A-Za-z0-9@][A-Za-z0-9@._+-]{0,199}\.(?:tgz|tar))$/;

/** Serves a registry's folder to be read, as any static web server could. */
export function createRegistryApp(folder: string): { fetch(request: Request): Response | Promise<Response> } {
  const app = new Hono();
  app.get("/:name", async (context) => {
    const name = context.req.param("name");
    const file = SERVED.test(name) ? await openRegular(join(folder, name)) : undefined;
    if (!file) return context.text("not found\n", 404);
    const headers = {
      "content-length": String(file.size),
      "content-type": name === POINTER_FILE ? "application/json" : "application/octet-stream",
      "cache-control": name.startsWith("index-") ? "public, max-age=31536000, immutable" : "no-cache",
      "x-content-type-options": "nosniff",
    };
    if (context.req.method === "HEAD") {
      await file.close();
      return new Response(null, { headers });
    }
    return new Response(file.stream(), { headers });
  });
  app.notFound((context) => context.text("not found\n", 404));
  return { fetch: (request) => app.fetch(request) };
}

async function openRegular(path: string) {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!handle) return undefined;
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    return undefined;
  }
  return {
    size: stat.size,
    close: () => handle.close(),
    stream() {
      // A file that grows meanwhile must not send more than was stated.
      const bytes = stat.size === 0 ? Readable.from([]) : handle.createReadStream({ start: 0, end: stat.size - 1 });
      return ReadableStream.from(bytes);
    },
  };
}
