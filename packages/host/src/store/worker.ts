import { parentPort, workerData } from "node:worker_threads";
import { toSallyportError } from "../kernel/index.ts";
import type { ThreadData, ThreadReply, ThreadRequest } from "./messages.ts";
import { openChain } from "./thread/chain.ts";
import { connect } from "./thread/connection.ts";
import { toWire } from "./thread/errors.ts";
import { createIndexer } from "./thread/index-events.ts";
import { copyTo, migrate } from "./thread/migrate.ts";
import { readPage } from "./thread/page.ts";

/** The thread that owns the store. It does nothing else, so that a commit never stops the host's event loop. */
function serve(port: NonNullable<typeof parentPort>, data: ThreadData): void {
  const db = connect(data.path);
  migrate(db, data.path, data.migrations, data.now);
  const chain = openChain(db);
  const indexer = createIndexer(db, () => chain.head);

  const handle = (request: ThreadRequest): unknown => {
    let value: unknown = null;
    switch (request.kind) {
      case "append":
        value = chain.append(request.text, request.statements);
        indexer.afterAppend();
        break;
      case "run":
        value = db.run(request.statement);
        break;
      case "atomically":
        db.transaction(() => request.statements.forEach((statement) => db.run(statement)));
        break;
      case "index":
        value = indexer.catchUp();
        break;
      case "head":
        value = chain.head;
        break;
      case "page":
        indexer.postpone();
        value = readPage(db, request.after, request.upTo, request.limit);
        break;
      case "backup":
        copyTo(db, request.path);
        break;
      case "close":
        indexer.stop();
        db.close();
        break;
    }
    return value;
  };
  const serveOne = async (request: ThreadRequest): Promise<void> => {
    port.postMessage(await answer(request.id, () => handle(request)));
    if (request.kind === "close") port.close();
  };
  port.on("message", (request: ThreadRequest) => void serveOne(request));
}

async function answer(id: number, work: () => unknown): Promise<ThreadReply> {
  try {
    return { id, ok: true, value: await work() };
  } catch (error) {
    return { id, ok: false, error: toWire(toSallyportError(error)) };
  }
}

/** Tells the other side that the store is open, or why it is not. */
async function start(port: NonNullable<typeof parentPort>, data: ThreadData): Promise<void> {
  const opened = await answer(0, () => serve(port, data));
  port.postMessage(opened);
  if (!opened.ok) port.close();
}

if (parentPort) {
  const data: ThreadData = workerData;
  await start(parentPort, data);
}
