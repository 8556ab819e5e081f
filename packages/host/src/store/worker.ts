import { parentPort, workerData } from "node:worker_threads";
import { toSallyportError } from "../kernel/index.ts";
import type { ThreadData, ThreadReply, ThreadRequest } from "./messages.ts";
import { openChain } from "./thread/chain.ts";
import { connect } from "./thread/connection.ts";
import { toWire } from "./thread/errors.ts";
import { createIndexer } from "./thread/index-events.ts";
import { copyTo, migrate } from "./thread/migrate.ts";
import { recompute } from "./thread/recompute.ts";

/** The thread that owns the store. It does nothing else, so that a commit never stops the host's event loop. */
function serve(port: NonNullable<typeof parentPort>, data: ThreadData): void {
  const db = connect(data.path);
  migrate(db, data.path, data.migrations, data.now);
  const chain = openChain(db);
  const indexer = createIndexer(db, () => chain.head);

  const handle = (request: ThreadRequest): unknown => {
    switch (request.kind) {
      case "append": {
        const answer = chain.append(request.text, request.statements);
        indexer.afterAppend();
        return answer;
      }
      case "run":
        return db.run(request.statement);
      case "atomically":
        db.transaction(() => request.statements.forEach((statement) => db.run(statement)));
        return null;
      case "index":
        return indexer.catchUp();
      case "recompute":
        return recompute(db, chain.head);
      case "backup":
        copyTo(db, request.path);
        return null;
      case "close":
        indexer.stop();
        db.close();
        return null;
    }
  };

  port.on("message", (request: ThreadRequest) => {
    void answer(request.id, () => handle(request)).then((reply) => {
      port.postMessage(reply);
      if (request.kind === "close") port.close();
    });
  });
}

async function answer(id: number, work: () => unknown): Promise<ThreadReply> {
  try {
    return { id, ok: true, value: await work() };
  } catch (error) {
    return { id, ok: false, error: toWire(toSallyportError(error)) };
  }
}

if (parentPort) {
  const port = parentPort;
  const data: ThreadData = workerData;
  void answer(0, () => {
    serve(port, data);
    return null;
  }).then((reply) => {
    port.postMessage(reply);
    if (!reply.ok) port.close();
  });
}
