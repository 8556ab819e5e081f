import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import { isErrorCode, LIMITS, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import { failureAnswer } from "../wire/index.ts";
import { openHome } from "../home/index.ts";
import { startOwner } from "./owner-start.ts";
import { ownerNote, socketPath } from "./socket-path.ts";

export interface OwnerRequest {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the request, and an answer that streams. */
  readonly signal?: AbortSignal | undefined;
}

/** The process that owns the home, over its socket. Each request is a connection of its own. */
export interface OwnerClient {
  readonly socket: string;
  /** The answer's status and parsed JSON. */
  request(method: string, path: string, options?: OwnerRequest): Promise<{ status: number; json: unknown }>;
  /** The lines of an answer that streams; a failure is one line, or the only one. */
  lines(method: string, path: string, options?: OwnerRequest): AsyncIterable<string>;
  /** Leaves HTTP and returns the raw connection. @throws {SallyportError} what the owner answered instead. */
  upgrade(path: string, protocol: string, headers?: Readonly<Record<string, string>>): Promise<Duplex>;
}

/** Largest JSON answer that a client takes, in bytes. */
const MAX_ANSWER = 256 * 1024 * 1024;

/**
 * Connects to the owner of a home, and starts one when there is none.
 * @throws {SallyportError} `home_missing`, `home_unsafe`, or why the owner did not start.
 */
export async function connectOwner(home: string, env: NodeJS.ProcessEnv = process.env): Promise<OwnerClient> {
  const real = openHome(home);
  const found = await findOwner(real, env);
  if (found) return found;
  return startOwner(real, env, () => findOwner(real, env));
}

/** The owner that serves this home now, if there is one. `home` is a real path. */
export async function findOwner(home: string, env: NodeJS.ProcessEnv): Promise<OwnerClient | undefined> {
  const paths = new Set([socketPath(home, env), ownerNote.read(home)?.socket]);
  for (const path of paths) {
    if (path !== undefined && (await answers(path))) return ownerAt(path);
  }
  return undefined;
}

async function answers(socket: string): Promise<boolean> {
  try {
    return (await ownerAt(socket).request("GET", "/healthz")).status === 200;
  } catch {
    return false;
  }
}

function ownerAt(socket: string): OwnerClient {
  return {
    socket,
    async request(method, path, options) {
      const response = await send(socket, method, path, options);
      return { status: response.statusCode ?? 0, json: parseAnswer(await readAll(response)) };
    },
    async *lines(method, path, options) {
      const accept = { ...options?.headers, accept: "application/x-ndjson" };
      const response = await send(socket, method, path, { ...options, headers: accept });
      // Whoever ends it themselves is told nothing; a lost connection ends the lines.
      response.on("error", () => undefined);
      yield* createInterface({ input: response });
    },
    async upgrade(path, protocol, headers = {}) {
      const request = httpRequest({
        socketPath: socket,
        path,
        headers: { ...headers, connection: "Upgrade", upgrade: protocol },
        agent: false,
      });
      return new Promise((resolve, reject) => {
        request.once("upgrade", (_response, connection, head) => {
          if (head.length > 0) connection.unshift(head);
          resolve(connection);
        });
        request.once("response", (response) => {
          readAll(response).then((text) => reject(refusal(parseAnswer(text))), reject);
        });
        request.once("error", (cause) => reject(gone(cause)));
        request.end();
      });
    },
  };
}

function send(socket: string, method: string, path: string, options: OwnerRequest = {}): Promise<IncomingMessage> {
  const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
  const headers = {
    ...options.headers,
    ...(body && { "content-type": "application/json", "content-length": String(body.length) }),
  };
  return new Promise((resolve, reject) => {
    const request: ClientRequest = httpRequest(
      { socketPath: socket, method, path, headers, agent: false, ...(options.signal && { signal: options.signal }) },
      resolve,
    );
    request.once("error", (cause) => reject(gone(cause)));
    request.end(body);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response) {
      size += chunk.length;
      if (size > MAX_ANSWER) throw new SallyportError("limit_exceeded", "The owner's answer is too large.");
      chunks.push(chunk);
    }
  } catch (cause) {
    throw cause instanceof SallyportError ? cause : gone(cause);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Parses what the owner sent. A tool's result is at most as deep as the host lets through. */
export function parseAnswer(text: string): unknown {
  return parseBoundedJson(text, { maxDepth: LIMITS.jsonDepth + 16 });
}

function refusal(answer: unknown): SallyportError {
  const read = failureAnswer.safeParse(answer);
  const { error = "No reason.", code = "", fix } = read.success ? read.data : {};
  return new SallyportError(isErrorCode(code) ? code : "forbidden", "The owner of the home refused the session.", {
    detail: error,
    ...(fix !== undefined && { fix }),
  });
}

function gone(cause: unknown): SallyportError {
  return new SallyportError("conflict", "The process that owns this home ended.", {
    detail: "The connection to it was lost before it answered.",
    fix: "Run the command again; owner.log in the home says why it ended.",
    cause,
  });
}
