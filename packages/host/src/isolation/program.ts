import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { jailOrders } from "./jail.ts";
import { LEAST_ABI } from "./landlock.ts";
import { librariesFor, loaderOf } from "./libraries.ts";
import { DATA_BASELINE_MB, resourceLimits, SCRATCH_BYTES, TASKS } from "./limits.ts";
import { devices, NOBODY, WALLS } from "./namespace.ts";
import type { AllowedPath } from "./orders.ts";
import type { Interpreter, ProgramSpec, SandboxPlan, SandboxSpec } from "./types.ts";

const JAIL = "/rt/jail";
const FORWARD = "/rt/forward";
const ROOT = "/plugin";
const PROXY_FOLDER = "/rt/proxy";
/** The proxy as the program sees it, on the loopback of its own empty network. */
const PROXY_PORT = 3128;
/** Programs count on a place for temporary files. bubblewrap bounds its bytes, not how many (empty) files it holds. */
const SCRATCH = ["--size", String(SCRATCH_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"];
/** What a process needs before its program allocates anything; counted by `RLIMIT_DATA`. */
export const PLAIN_BASELINE_MB = 64;

/**
 * A program instead of the engine: an executable of the plugin's, or a known interpreter with its script. The same walls,
 * without the JavaScript layer, so only at the kernel levels. It can start nothing (no fork, no exec), and has no socket;
 * with a network grant, and only at `namespace`, TCP in an empty network where nothing but the way to the proxy listens.
 * @throws {SallyportError} `isolation_unavailable`. @throws {PolicyViolationError} `not_enforceable` for a network grant at `landlock`.
 */
export async function planProgram(spec: SandboxSpec, program: ProgramSpec): Promise<SandboxPlan> {
  if (spec.level === "namespace" && spec.tools.bwrap !== null) return inNamespace(spec, program, spec.tools.bwrap);
  if (spec.level === "landlock") return withLandlock(spec, program);
  throw new SallyportError("isolation_unavailable", `A program cannot be contained at the level "${spec.level}".`, {
    detail: "Without the kernel's walls it could do whatever its user may.",
    fix: "Run `sallyport doctor` to see how to get the level `namespace` or `landlock`.",
  });
}

async function inNamespace(spec: SandboxSpec, program: ProgramSpec, bwrap: string): Promise<SandboxPlan> {
  const { interpreter, proxySocket } = program;
  const forward = proxySocket === null ? undefined : forwarder(spec);
  const libraries = interpreter?.libraries ?? (await librariesFor([spec.engine.deno]));
  const same = [...libraries, ...(interpreter === null ? [] : [interpreter.path, ...interpreter.folders])];
  const mounts: [string, string][] = [
    ...same.map((path): [string, string] => [path, path]),
    [spec.engine.jail, JAIL],
    [rootOf(spec), ROOT],
  ];
  if (forward !== undefined && proxySocket !== null)
    mounts.push([forward, FORWARD], [dirname(proxySocket), PROXY_FOLDER]);
  const command = commandOf(program, ROOT, spec.memoryMb);
  const [executable = ""] = command;
  return {
    level: "namespace",
    command: bwrap,
    args: [
      ...WALLS,
      ...mounts.flatMap(([from, to]) => ["--ro-bind", from, to]),
      ...(interpreter?.hidden ?? []).flatMap((path) => ["--size", "4096", "--tmpfs", path, "--remount-ro", path]),
      ...devices(executable),
      ...SCRATCH,
      ...Object.entries(environment(forward !== undefined)).flatMap(([name, value]) => ["--setenv", name, value]),
      "--remount-ro",
      "/",
      "--",
      ...(forward === undefined ? [] : [FORWARD, String(PROXY_PORT), join(PROXY_FOLDER, "proxy")]),
      JAIL,
      executable,
      ...command,
    ],
    env: {},
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({
      ownPids: true,
      limits: resourceLimits(spec.memoryMb, spec.tasks ?? TASKS, baselineOf(interpreter)),
      landlock: null,
      sockets: forward === undefined ? "stdio" : "proxy",
    }),
    rootUrl: `file://${ROOT}/`,
  };
}

async function withLandlock(spec: SandboxSpec, program: ProgramSpec): Promise<SandboxPlan> {
  const { interpreter } = program;
  // Landlock knows ports and no addresses, and the host's network is there: what is not the proxy could not be refused.
  if (program.proxySocket !== null) throw noNetworkAtLandlock();
  const root = rootOf(spec);
  const libraries = interpreter?.libraries ?? (await librariesFor([spec.engine.deno]));
  const loader = await loaderOf(interpreter?.path ?? spec.engine.deno);
  const command = commandOf(program, root, spec.memoryMb);
  const [executable = ""] = command;
  const paths: AllowedPath[] = [
    { path: executable, rights: "execute" },
    { path: loader, rights: "execute" },
    ...libraries.filter((path) => path !== loader).map((path): AllowedPath => ({ path, rights: "read" })),
    ...(interpreter?.folders ?? []).map((path): AllowedPath => ({ path, rights: "tree" })),
    { path: root, rights: "tree" },
    { path: "/dev/null", rights: "write" },
    { path: "/dev/urandom", rights: "read" },
  ];
  return {
    level: "landlock",
    command: spec.engine.jail,
    args: [executable, ...command],
    env: environment(false),
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({
      ownPids: false,
      limits: resourceLimits(spec.memoryMb, null, baselineOf(interpreter)),
      landlock: { leastAbi: LEAST_ABI, paths },
      sockets: "stdio",
    }),
    rootUrl: pathToFileURL(`${root}/`).href,
  };
}

/** The program and its arguments. What runs first is the host's; the plugin's own text comes after its entry. */
function commandOf({ interpreter, entry, args }: ProgramSpec, root: string, memoryMb: number): readonly string[] {
  const script = `${root}/${entry}`;
  if (interpreter === null) return [script, ...args];
  const own =
    interpreter.kind === "python" ? ["-E", "-s", "-S", "-B", "-u", "-X", "utf8"] : [`--max-old-space-size=${memoryMb}`];
  return [interpreter.path, ...own, script, ...args];
}

/** The whole environment. */
function environment(proxied: boolean): Readonly<Record<string, string>> {
  // Without it Node's OpenSSL insists on a file of /etc, which is closed.
  const plain = { HOME: "/tmp", LANG: "C.UTF-8", OPENSSL_CONF: "/dev/null", TMPDIR: "/tmp" };
  if (!proxied) return plain;
  const proxy = `http://127.0.0.1:${PROXY_PORT}`;
  return {
    ...plain,
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NODE_USE_ENV_PROXY: "1",
  };
}

/** V8 reserves much that it never uses. */
function baselineOf(interpreter: Interpreter | null): number {
  return interpreter?.kind === "node" ? DATA_BASELINE_MB : PLAIN_BASELINE_MB;
}

function rootOf({ root }: SandboxSpec): string {
  if (root === null) throw new SallyportError("internal", "A program without a root.");
  return root;
}

function forwarder({ engine }: SandboxSpec): string {
  if (engine.forward !== undefined) return engine.forward;
  throw new SallyportError(
    "isolation_unavailable",
    "The helper through which programs reach the proxy is not installed.",
    {
      fix: "Install Sallyport again.",
    },
  );
}

function noNetworkAtLandlock(): PolicyViolationError {
  return new PolicyViolationError("not_enforceable", "At the level `landlock` a program can have no network.", {
    detail: "There it shares this machine's network, and no wall can be put up that leaves only the proxy.",
    fix: "Make the level `namespace` available (`sallyport doctor` says how), or approve the plugin without network.",
  });
}
