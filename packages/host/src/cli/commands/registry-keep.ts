import { createServer } from "node:http";
import { resolve } from "node:path";
import type { Command } from "commander";
import { displayLine } from "../../kernel/index.ts";
import { keyFile, readKeyFile } from "../key-files.ts";
import { createProgressBar, parseExpiry } from "../render/index.ts";
import type { Session } from "../session.ts";
import { untilStopped } from "../signals.ts";
import { type CommandContext, flag, text, usage, verb } from "./define.ts";

type Options = Readonly<Record<string, unknown>>;

const VALID = "30d";

/** The verbs of those who keep a registry: a folder of archives and its signed index. None of them needs a home but for a key. */
export function defineRegistryKeeping(registry: Command, plugin: Command, context: CommandContext): void {
  keyed(
    verb(
      registry,
      context,
      "index [dir]",
      "make and sign the index of a folder of archives; any web server can host it then (REGISTRY_DIR if absent)",
      "sallyport registry index ./registry --key acme --name acme",
      index,
    ).option("--name <name>", "the registry's name, the first time"),
  );
  keyed(
    verb(
      registry,
      context,
      "yank <dir> <version>",
      "take a version back: it is chosen no more, but by who asks for exactly it",
      "sallyport registry yank ./registry weather@1.2.0 --key acme --reason 'wrong unit'",
      yank,
    )
      .option("--reason <text>", "why, shown to whoever asks for it")
      .option("--undo", "offer it again"),
  );
  verb(
    registry,
    context,
    "serve [dir]",
    "host a registry's folder on this machine (REGISTRY_DIR if absent)",
    "sallyport registry serve ./registry --port 8321",
    serve,
  ).option("--port <port>", "which port of 127.0.0.1; a free one if absent");
  keyed(
    verb(
      plugin,
      context,
      "publish <file>",
      "put a packed and signed archive into a registry's folder; with --key makes its index too",
      "sallyport plugin publish weather-1.2.0.tgz --to ./registry --key acme",
      publish,
    )
      .option("--to <dir>", "the registry's folder; REGISTRY_DIR if absent")
      .option("--name <name>", "the registry's name, the first time")
      .option("--unsigned", "publish it although nobody signed it"),
  );
}

function keyed(command: Command): Command {
  return command
    .option("--key <key>", "name of the registry's key among yours, or its file")
    .option("--expires <time>", `when the index has to be made again at the latest: 12h, 30d; ${VALID} if absent`)
    .option("--key-passphrase-file <file>", "file with the key's passphrase (or set SALLYPORT_KEY_PASSPHRASE)");
}

function folderOf(session: Session, given: string | undefined): string {
  const folder = given ?? session.io.env["REGISTRY_DIR"];
  if (folder !== undefined && folder !== "") return resolve(folder);
  throw usage("Which folder?", "Name the registry's folder, or set REGISTRY_DIR.");
}

async function build(session: Session, folder: string, options: Options, yanked?: YankWish) {
  const key = text(options, "key");
  if (key === undefined)
    throw usage("Which key signs the index?", "Give --key NAME. Make one: sallyport key generate NAME");
  const [{ buildIndex }, { findManifest, readManifest }] = await Promise.all([
    import("../../registry/index.ts"),
    import("../../manifest/index.ts"),
  ]);
  const signingKey = await readKeyFile(session.io, keyFile(session.home, key), text(options, "keyPassphraseFile"));
  const now = session.io.now();
  const name = text(options, "name");
  const bar = createProgressBar(session.io.stderr);
  const built = await buildIndex(folder, {
    key: signingKey,
    now,
    validMs: parseExpiry(text(options, "expires") ?? VALID, now) - now,
    ports: { findManifest, readManifest },
    onArchive: (file, position, of) => bar.update({ name: file, index: position, of }),
    ...(name !== undefined && { name }),
    ...(yanked && { yank: yanked }),
  }).finally(() => bar.end());
  const { pointer, entries, added, removed } = built;
  const versions = (list: typeof entries) => list.map(({ id, version }) => `${id}@${version}`);
  const answer = {
    success: true,
    folder,
    name: pointer.name,
    key: signingKey.id,
    counter: pointer.counter,
    expires_at: pointer.expires_at,
    versions: entries.length,
    added: versions(added),
    removed: versions(removed),
  };
  const told = [
    `${session.style.good("✔")} Index ${pointer.counter} of ${pointer.name}: ${entries.length} versions, good until ${new Date(pointer.expires_at).toISOString()}\n`,
    ...answer.added.map((one) => `  + ${displayLine(one)}\n`),
    ...answer.removed.map((one) => `  - ${displayLine(one)}\n`),
    `Operators add it with: sallyport registry add ${pointer.name} URL --key ${signingKey.id}\n`,
  ];
  return { answer, told: told.join("") };
}

interface YankWish {
  readonly id: string;
  readonly version: string;
  readonly reason: string | undefined;
}

async function index(session: Session, [dir]: readonly string[], options: Options): Promise<void> {
  const { answer, told } = await build(session, folderOf(session, dir), options);
  session.print(answer, told);
}

async function yank(session: Session, [dir, which = ""]: readonly string[], options: Options): Promise<void> {
  const at = which.lastIndexOf("@");
  if (at <= 0) throw usage(`"${displayLine(which)}" is no version of a plugin.`, "Write it as ID@VERSION.");
  const reason = flag(options, "undo") ? undefined : (text(options, "reason") ?? "no reason given");
  const wish = { id: which.slice(0, at), version: which.slice(at + 1), reason };
  const { answer, told } = await build(session, folderOf(session, dir), options, wish);
  const done = reason === undefined ? "Offered again" : "Taken back";
  session.print(
    { ...answer, yanked: reason !== undefined },
    `${session.style.good("✔")} ${done}: ${displayLine(which)}\n${told}`,
  );
}

async function publish(session: Session, [file = ""]: readonly string[], options: Options): Promise<void> {
  const to = text(options, "to");
  if (to !== undefined && /^[a-z]+:\/\//i.test(to)) {
    throw usage(
      "Publishing goes into a folder.",
      "Publish into the folder that your web server hosts, or copy it there afterwards: archives first, registry.json last.",
    );
  }
  const folder = folderOf(session, to);
  const [{ publishTo }, { findManifest, readManifest }] = await Promise.all([
    import("../../registry/index.ts"),
    import("../../manifest/index.ts"),
  ]);
  const published = await publishTo(folder, resolve(file), {
    ports: { findManifest, readManifest },
    now: session.io.now(),
    unsigned: flag(options, "unsigned"),
  });
  const { id, version, integrity, tree_digest } = published.entry;
  const built = text(options, "key") === undefined ? undefined : await build(session, folder, options);
  session.print(
    {
      success: true,
      id,
      version,
      file: published.file,
      created: published.created,
      integrity,
      tree_digest,
      ...(built && { index: built.answer }),
    },
    [
      `${session.style.good("✔")} ${published.created ? "Published" : "It was there already:"} ${displayLine(id)} ${displayLine(version)} in ${displayLine(folder, 500)}\n`,
      built?.told ?? `Nobody finds it yet. Next: sallyport registry index ${displayLine(folder, 500)} --key NAME\n`,
    ].join(""),
  );
}

async function serve(session: Session, [dir]: readonly string[], options: Options): Promise<void> {
  const folder = folderOf(session, dir);
  const given = text(options, "port") ?? "0";
  if (!/^\d{1,5}$/.test(given) || Number(given) > 65_535)
    throw usage("This is no port.", "Write for example --port 8321.");
  const [{ createRegistryApp }, { getRequestListener }] = await Promise.all([
    import("../../registry/index.ts"),
    import("@hono/node-server"),
  ]);
  const app = createRegistryApp(folder);
  const listener = getRequestListener((request) => app.fetch(request), { overrideGlobalObjects: false });
  const server = createServer({ maxHeaderSize: 16_384 }, (incoming, outgoing) => void listener(incoming, outgoing));
  server.listen(Number(given), "127.0.0.1");
  await new Promise<void>((done, fail) => server.once("listening", done).once("error", fail)).catch(
    (cause: unknown) => {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
      throw usage(`The port ${given} cannot be used (${code}).`, "Choose another with --port, or leave it out.");
    },
  );
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : Number(given);
  const url = `http://127.0.0.1:${port}/`;
  session.print(
    { success: true, url, folder },
    `Serving ${displayLine(folder, 500)} at ${url} until you stop it (Ctrl-C).\nAdd it: sallyport registry add NAME ${url} --private --key KEY\n`,
  );
  const stopped = new Promise<void>((done) => server.once("close", done));
  await untilStopped({
    stopped,
    async stop() {
      server.close();
      server.closeAllConnections();
      await stopped;
    },
  });
}
