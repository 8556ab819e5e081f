import { finished } from "node:stream/promises";
import type { Io } from "./io.ts";
import type { OwnerClient } from "./owner-client.ts";

/** What the raw connection of an MCP session calls itself; the owner answers nothing else. */
export const MCP_PROTOCOL = "sallyport-mcp";

/**
 * Connects an MCP client on standard input and output to the owner, as one agent: that of the token, or the one named. Nothing but the session's own lines goes to
 * standard output. Resolves when either side has ended.
 * @throws {SallyportError} what the owner answered instead of a session.
 */
export async function runMcp(
  io: Io,
  owner: OwnerClient,
  agent: string | undefined,
  credentials: Readonly<Record<string, string>>,
): Promise<void> {
  const query = agent === undefined ? "" : `?agent=${encodeURIComponent(agent)}`;
  const connection = await owner.upgrade(`/mcp-session${query}`, MCP_PROTOCOL, credentials);
  // A client that closed its end of the pipe is an end of the session, not a failure.
  const hangUp = (): void => void connection.destroy();
  io.stdout.on("error", hangUp);
  io.stdin.on("error", hangUp);
  io.stdin.pipe(connection);
  connection.pipe(io.stdout, { end: false });
  await finished(connection, { writable: false }).catch(() => {
    // The owner ended, or was killed; the client sees the end of the output.
  });
  io.stdin.unpipe(connection);
  // An open standard input would keep the process.
  io.stdin.destroy();
  connection.destroy();
}
