/** A connection to a database that the operator named. */
export interface DatabaseView {
  readonly name: string;
  readonly kind: "sqlite" | "postgres";
  /** The most that a plugin can be granted. */
  readonly mode: "r" | "rw";
  /** The file, or the server, its database and the role. */
  readonly target: string;
  /** Ids of plugins that were granted it. */
  readonly plugins: readonly string[];
}

/** What a look at a connection found: that it can be opened, and that its role may do no more than the connection says. */
export interface DatabaseCheckView {
  readonly name: string;
  readonly ok: boolean;
  readonly facts: readonly string[];
  readonly problems: readonly { readonly problem: string; readonly fix: string }[];
}

export interface DatabasesApi {
  list(): readonly DatabaseView[];
  /** Opens the connection as it would be for a plugin, and changes nothing. @throws {SallyportError} `not_found`. */
  check(name: string): Promise<DatabaseCheckView>;
}
