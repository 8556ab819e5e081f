import { createServer, type IncomingMessage } from "node:http";
import { manifestOf, type TestHome, toolLine } from "../support/home.ts";

/** A server on loopback that answers with what it was sent and keeps it, as any server may. */
export async function receiver() {
  const received: { url: string; headers: IncomingMessage["headers"] }[] = [];
  const server = createServer((request, response) => {
    received.push({ url: request.url ?? "", headers: request.headers });
    response.setHeader("x-echo", String(request.headers["x-key"] ?? ""));
    response.end(JSON.stringify({ url: request.url, headers: request.headers }));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { port } = address;
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    received,
    close: () => new Promise<unknown>((done) => server.close(done)),
  };
}

/** Asks the receiver with the secret KEY in a header; gives what it sees of the secret. */
export const CODE = `export default {
  tools: {
    ask: async ({ url }) => {
      const answer = await fetch(url, { secrets: ["KEY"] });
      return { status: answer.status, echo: answer.headers.get("x-echo"), body: await answer.text() };
    },
    show: (_, ctx) => ({ key: ctx.secrets.get("KEY") ?? null }),
    put: async ({ url, header }, ctx) => (await fetch(url, { headers: { [header]: ctx.secrets.get("KEY") } })).status,
  },
};`;

/** A plugin that may send KEY to the origin in the header x-key, or is told its value. */
export async function keyPlugin(home: TestHome, id: string, port: number, how: "use" | "expose"): Promise<string> {
  const secret =
    how === "expose"
      ? "{ name: KEY, expose: true }"
      : `{ name: KEY, use: { origin: "http://127.0.0.1:${port}", in: "header:x-key" } }`;
  const permissions = `permissions: { network: [{ host: 127.0.0.1, port: ${port}, scheme: http }], secrets: [${secret}] }`;
  const tools = ["ask", "show", "put"].map((name) => toolLine(name));
  return home.plugin(id, { "plugin.yml": manifestOf(id, tools, permissions), "plugin.js": CODE });
}

export const APPROVED = (port: number) => ({
  allowTools: ["ask", "show", "put"],
  scopes: [`network+loopback=http://127.0.0.1:${port}`],
});
