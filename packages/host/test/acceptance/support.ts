import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { HostOverrides } from "../../src/host/parts.ts";
import type { ApproveRequest, Host, InvokeAnswer } from "../../src/host-api.ts";
import { PolicyViolationError, SallyportError } from "../../src/kernel/index.ts";
import { AGENT, OPERATOR } from "../support/home.ts";

const fixture = (name: string) => readFileSync(fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url)), "utf8");

export interface Seen {
  /** `METHOD url` */
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** The internet of a test: every name is this machine, and a well-known port leads to a server of the test. */
export interface Internet {
  readonly network: NonNullable<HostOverrides["network"]>;
  /** Serves one port of every name; `secure` with a certificate for api.openweathermap.org. */
  serve(port: number, answer: RequestListener, secure?: boolean): Promise<readonly Seen[]>;
  /** `address:port` of every connection that was opened. */
  readonly dialled: readonly string[];
  close(): void;
}

export function openInternet(): Internet {
  const servers = new Map<number, Server>();
  const dialled: string[] = [];
  return {
    network: {
      resolve: async () => ["127.0.0.1"],
      certificateAuthorities: [fixture("ca.pem")],
      dial(address, port) {
        dialled.push(`${address}:${port}`);
        const place = servers.get(port)?.address();
        return connect({ host: address, port: typeof place === "object" && place ? place.port : 1 });
      },
    },
    dialled,
    async serve(port, answer, secure = false) {
      const seen: Seen[] = [];
      const listener: RequestListener = (request, response) => {
        let body = "";
        request.setEncoding("utf8").on("data", (text: string) => (body += text));
        request.on("end", () => {
          seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
          answer(request, response);
        });
      };
      const server = secure
        ? createSecureServer({ key: fixture("server.key"), cert: fixture("server.pem") }, listener)
        : createServer(listener);
      servers.get(port)?.close().closeAllConnections();
      servers.set(port, server.listen(0, "127.0.0.1"));
      await once(server, "listening");
      return seen;
    },
    close() {
      for (const server of servers.values()) server.close().closeAllConnections();
    },
  };
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail: string;
  readonly fix: string;
  readonly denial: boolean;
}

/** The refusal that work ends with; every one says what, and how to go on. */
export async function refusal(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.then(
    () => expect.fail("it was not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SallyportError)) throw error;
  const { code, message, detail = "", fix = "" } = error;
  return { code, message, detail, fix, denial: error instanceof PolicyViolationError };
}

export const failed = (answer: InvokeAnswer) => (answer.success ? expect.fail("it succeeded") : answer);
export const result = (answer: InvokeAnswer): unknown =>
  answer.success ? answer.result : expect.fail(`${answer.code}: ${answer.error}`);

export const call = (host: Host, tool: string, input: unknown = {}) => host.invoke(AGENT, { tool, input });

/** Installs, approves and loads. */
export async function run(host: Host, source: string, approve: ApproveRequest = {}): Promise<string> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, plugin.id, approve);
  await host.plugins.load(OPERATOR, plugin.id);
  return plugin.id;
}

/** `from→to (reason)` of every lifecycle event of a plugin, oldest first. */
export async function edges(host: Host, plugin: string): Promise<readonly string[]> {
  await host.audit.flush();
  const events = await host.audit.query({ type: "plugin.lifecycle", plugin, order: "asc", limit: 1000 });
  return events.map(({ from, to, reason }) => `${from ?? ""}→${to ?? ""}${reason === undefined ? "" : ` (${reason})`}`);
}

/** Everything that a host gives out about what happened: every log, event, view and the export. */
export async function everythingSaid(host: Host): Promise<string> {
  await host.audit.flush();
  const said: unknown[] = [
    await host.audit.query({ limit: 1000 }),
    await host.approvals.list(),
    await host.secrets.list(),
  ];
  for (const { id } of await host.plugins.list()) said.push(await host.plugins.info(id), host.plugins.logs(id));
  for await (const line of host.audit.export()) said.push(line);
  return JSON.stringify(said);
}
