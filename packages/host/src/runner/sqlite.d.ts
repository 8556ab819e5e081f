/** What the process of a database uses of the engine's SQLite. */
declare module "node:sqlite" {
  type Parameter = null | number | bigint | string | Uint8Array;

  export class StatementSync {
    readonly sourceSQL: string;
    get(...parameters: Parameter[]): Record<string, unknown> | undefined;
    all(...parameters: Parameter[]): readonly unknown[];
    run(...parameters: Parameter[]): { readonly changes: number | bigint };
    columns(): readonly { readonly name: string }[];
    setReadBigInts(enabled: boolean): void;
    setReturnArrays(enabled: boolean): void;
  }

  export class DatabaseSync {
    constructor(
      path: string,
      options: { readonly readOnly: boolean; readonly timeout: number; readonly allowExtension: boolean },
    );
    readonly limits: Record<string, number>;
    readonly isTransaction: boolean;
    exec(sql: string): void;
    prepare(sql: string): StatementSync;
    aggregate(
      name: string,
      options: {
        readonly start: number;
        readonly directOnly: boolean;
        readonly useBigIntArguments: boolean;
        readonly varargs: boolean;
        step(held: number, ...row: unknown[]): number;
        result(held: number): number;
      },
    ): void;
    enableDefensive(enabled: boolean): void;
    setAuthorizer(decide: (action: number, first: string | null, second: string | null) => number): void;
    close(): void;
  }

  export const constants: Readonly<
    Record<
      | "SQLITE_OK"
      | "SQLITE_DENY"
      | "SQLITE_SELECT"
      | "SQLITE_READ"
      | "SQLITE_FUNCTION"
      | "SQLITE_RECURSIVE"
      | "SQLITE_INSERT"
      | "SQLITE_UPDATE"
      | "SQLITE_DELETE"
      | "SQLITE_PRAGMA",
      number
    >
  >;
}
