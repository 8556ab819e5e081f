import type { Requests } from "../protocol/v1/index.ts";
import { databaseFromWire, databaseToWire, sallyportError } from "../runtime/index.ts";
import type { Fakes } from "./fakes.ts";

/** Connections as a test says they are. What has no fake has no grant. */
export function createFakeDatabase({ databases = {} }: Fakes) {
  return {
    async "database.query"({
      connection,
      sql,
      params,
    }: Requests["database.query"]["params"]): Promise<Requests["database.query"]["result"]> {
      const fake = Object.hasOwn(databases, connection) ? databases[connection] : undefined;
      const answer = await fake?.(sql, params.map(databaseFromWire));
      if (answer === undefined) {
        throw sallyportError(
          "permission_denied",
          `This test grants no connection "${connection}".`,
          "Add it to databases.",
        );
      }
      const { columns = [], rows = [], changes = 0, truncated = false } = answer;
      return { columns, rows: rows.map((row) => row.map(databaseToWire)), changes, truncated };
    },
  };
}
