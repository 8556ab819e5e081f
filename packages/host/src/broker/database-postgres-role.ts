import { z } from "zod";
import { displayLine } from "../kernel/index.ts";
import type { DatabaseCheck, DatabaseMode } from "./database-types.ts";

/** Runs one query of ours and gives its rows, each as an array. */
export type RoleQuery = (sql: string, params?: readonly string[]) => Promise<readonly unknown[]>;

export interface RoleReport extends DatabaseCheck {
  /** As the server says it: 170004. */
  readonly serverVersion: number;
}

type Problem = DatabaseCheck["problems"][number];

/** All roles that the session is, or may become. */
const ROLES = `SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
  FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')`;
/** Roles of the server's own that reach beyond rows of tables. */
const BEYOND_ROWS = [
  "pg_read_server_files",
  "pg_write_server_files",
  "pg_execute_server_program",
  "pg_signal_backend",
  "pg_signal_autovacuum_worker",
  "pg_maintain",
  "pg_checkpoint",
  "pg_create_subscription",
  "pg_use_reserved_connections",
  "pg_monitor",
  "pg_read_all_settings",
  "pg_read_all_stats",
  "pg_stat_scan_tables",
];
/** The server's functions that touch its files or the server itself; by default only superusers may call them. */
const BEYOND_ROWS_FUNCTIONS = [
  "pg_read_file",
  "pg_read_binary_file",
  "pg_ls_dir",
  "pg_ls_logdir",
  "pg_ls_waldir",
  "pg_ls_tmpdir",
  "pg_stat_file",
  "pg_current_logfile",
  "lo_import",
  "lo_export",
  "pg_reload_conf",
  "pg_rotate_logfile",
  "pg_promote",
  "pg_switch_wal",
  "pg_create_restore_point",
  "pg_hba_file_rules",
];
/** Extensions whose functions leave the database, in whatever schema they are. */
const LEAVING = [
  "dblink",
  "http",
  "pg_net",
  "pg_cron",
  "adminpack",
  "pg_background",
  "plproxy",
  "aws_s3",
  "aws_lambda",
];
const LARGE_OBJECT_MAKERS = ["lo_create", "lo_creat", "lo_from_bytea"];
/** From here on a read-only transaction refuses to make large objects. */
const LARGE_OBJECTS_REFUSED = 160_000;
const SHOWN = 5;

const USER_SCHEMA = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

const Names = z.array(z.tuple([z.string()]));
const Self = z.tuple([z.tuple([z.string(), z.string(), z.string()])]);

/**
 * What the role of a connection may do, beyond reading rows (`r`), or changing them (`rw`). Nothing is changed. What a role
 * may become by `SET ROLE` counts as what it is.
 */
export async function checkRole(query: RoleQuery, mode: DatabaseMode): Promise<RoleReport> {
  const [[version, role, database]] = Self.parse(
    await query(
      "SELECT pg_catalog.current_setting('server_version_num'), session_user::text, pg_catalog.current_database()::text",
    ),
  );
  const serverVersion = Number(version);
  const facts = [
    `PostgreSQL ${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000}`,
    `role ${displayLine(role, 63)} in the database ${displayLine(database, 63)}`,
  ];
  const names = async (sql: string, params: readonly string[] = []): Promise<string[]> =>
    Names.parse(await query(sql, params)).map(([name]) => displayLine(name, 120));
  const problems: Problem[] = [];
  const found = (list: readonly string[], problem: string, fix: string): void => {
    if (list.length > 0) problems.push({ problem: `${problem}: ${some(list)}.`, fix });
  };
  const shown = quoted(role);

  const strong = await names(
    `SELECT r.rolname::text FROM (${ROLES}) r WHERE r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls`,
  );
  found(
    strong,
    "The role is, or may become, one with rights over the server (superuser, createrole, createdb, replication, bypassrls)",
    `Use a role of its own: CREATE ROLE ${shown} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS; and take it out of the others.`,
  );
  // Of a superuser everything else is true as well, and says nothing more.
  if (problems.length > 0) return { ok: false, facts, problems, serverVersion };

  found(
    await names(`SELECT r.rolname::text FROM (${ROLES}) r WHERE r.rolname = ANY ($1::text[])`, [array(BEYOND_ROWS)]),
    "The role is a member of roles that reach beyond rows",
    `REVOKE them FROM ${shown};`,
  );
  found(
    await names(
      `SELECT DISTINCT p.proname::text FROM pg_catalog.pg_proc p, (${ROLES}) r WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
        AND p.proname = ANY ($1::text[]) AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')`,
      [array(BEYOND_ROWS_FUNCTIONS)],
    ),
    "The role may call functions that reach the server's files or the server itself",
    `REVOKE EXECUTE on them FROM PUBLIC and from ${shown};`,
  );
  found(
    await names(
      `SELECT DISTINCT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
        LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid, (${ROLES}) r
        WHERE (e.extname = ANY ($1::text[]) OR (${USER_SCHEMA} AND NOT l.lanpltrusted AND l.lanname NOT IN ('c', 'internal')))
        AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE') AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') LIMIT 6`,
      [array(LEAVING)],
    ),
    "The role may call functions that leave the database, or are written in a language without bounds",
    `REVOKE EXECUTE ON FUNCTION … FROM PUBLIC; and from ${shown}.`,
  );
  if (mode === "r") await checkReader({ names, found, shown, serverVersion });
  if (mode === "r" && problems.length === 0) facts.push("no right to change a table, sequence, schema or the database");
  return { ok: problems.length === 0, facts, problems, serverVersion };
}

interface Reader {
  names(sql: string, params?: readonly string[]): Promise<string[]>;
  found(list: readonly string[], problem: string, fix: string): void;
  readonly shown: string;
  readonly serverVersion: number;
}

/** A role that reads has no right to change anything: the transaction being read-only is not what keeps it from it. */
async function checkReader({ names, found, shown, serverVersion }: Reader): Promise<void> {
  found(
    await names(
      `SELECT DISTINCT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, (${ROLES}) r
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${USER_SCHEMA} AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
        OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')) LIMIT 6`,
    ),
    "The role may change tables",
    `GRANT SELECT only, and REVOKE INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER ON ALL TABLES IN SCHEMA … FROM ${shown}; it may own none.`,
  );
  found(
    await names(
      `SELECT DISTINCT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, (${ROLES}) r
        WHERE c.relkind = 'S' AND ${USER_SCHEMA} AND pg_catalog.has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE') LIMIT 6`,
    ),
    "The role may advance sequences",
    `REVOKE USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA … FROM ${shown};`,
  );
  found(
    await names(
      `SELECT DISTINCT n.nspname::text FROM pg_catalog.pg_namespace n, (${ROLES}) r
        WHERE ${USER_SCHEMA} AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') LIMIT 6`,
    ),
    "The role may make tables in schemas",
    `REVOKE CREATE ON SCHEMA … FROM PUBLIC; and from ${shown}.`,
  );
  found(
    await names(
      `SELECT DISTINCT pg_catalog.current_database()::text FROM (${ROLES}) r
        WHERE pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database()::text, 'CREATE')`,
    ),
    "The role may make schemas in the database",
    `REVOKE CREATE ON DATABASE … FROM ${shown}; it may not own it.`,
  );
  found(
    await names(
      `SELECT DISTINCT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace, (${ROLES}) r
        WHERE p.prosecdef AND p.provolatile = 'v' AND ${USER_SCHEMA}
        AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE') AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') LIMIT 6`,
    ),
    "The role may call functions that run with their owner's rights (SECURITY DEFINER) and may change data",
    `REVOKE EXECUTE ON FUNCTION … FROM PUBLIC; or declare them STABLE.`,
  );
  if (serverVersion < LARGE_OBJECTS_REFUSED) {
    found(
      await names(
        `SELECT DISTINCT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p, (${ROLES}) r WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
          AND p.proname = ANY ($1::text[]) AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')`,
        [array(LARGE_OBJECT_MAKERS)],
      ),
      "The role may make large objects",
      "REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC; or use PostgreSQL 16.",
    );
  }
}

/** As an array's text; the names are ours. */
function array(names: readonly string[]): string {
  return `{${names.join(",")}}`;
}

function some(list: readonly string[]): string {
  return list.length > SHOWN ? `${list.slice(0, SHOWN).join(", ")} and more` : list.join(", ");
}

function quoted(role: string): string {
  return `"${displayLine(role, 63).replaceAll('"', '""')}"`;
}
