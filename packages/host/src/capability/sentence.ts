import { displayLine } from "../kernel/index.ts";
import { facetWords, isSystemFacet } from "./facets.ts";
import { DATA_ROOT } from "./file-path.ts";
import type {
  AgentScope,
  EventsScope,
  ExecScope,
  FilesystemScope,
  HooksScope,
  NetworkScope,
  PermissionRequest,
  Scope,
  SecretScope,
} from "./types.ts";

/** What a scope or a request allows, in one plain sentence without subject: "may contact api.example.com over HTTPS, reading only". */
export function sentenceOf(subject: Scope | PermissionRequest): string {
  if ("key" in subject) return subject.scope === null ? unscoped(subject) : sentenceOf(subject.scope);
  switch (subject.capability) {
    case "network":
      return network(subject);
    case "filesystem":
      return filesystem(subject);
    case "secrets":
      return secret(subject);
    case "exec":
      return exec(subject);
    case "database":
      return `may ${subject.mode === "r" ? "read" : "read and change data in"} the database connection ${displayLine(subject.connection)}`;
    case "agent":
      return agent(subject);
    case "events":
      return events(subject);
    case "hooks":
      return hooks(subject);
    case "system":
      return `may learn ${isSystemFacet(subject.facet) ? facetWords(subject.facet) : `the unknown fact ${displayLine(subject.facet)}`}`;
    case "tools":
      return "may offer its tools to your agents";
  }
}

const PROTOCOLS = {
  https: ["HTTPS", 443],
  http: ["unencrypted HTTP", 80],
  wss: ["WebSocket", 443],
  ws: ["unencrypted WebSocket", 80],
} as const;
const READING = new Set(["GET", "HEAD", "OPTIONS"]);

function network(scope: NetworkScope): string {
  const host = scope.host.startsWith("*.")
    ? `every subdomain of ${displayLine(scope.host.slice(2))}`
    : displayLine(scope.host);
  const [protocol, usualPort] = PROTOCOLS[scope.scheme];
  const port = scope.port === usualPort ? "" : ` on port ${scope.port}`;
  const local = [
    scope.private === true ? " ON YOUR LOCAL NETWORK" : "",
    scope.loopback === true ? " ON THIS COMPUTER ITSELF" : "",
  ]
    .filter(Boolean)
    .join(" and");
  const paths = scope.paths.includes("/**") ? "" : `, only at ${displayLine(listed(scope.paths), 400)}`;
  // A WebSocket has no methods: what is open sends and receives.
  const doing = methods(scope.scheme === "ws" || scope.scheme === "wss" ? ["*"] : scope.methods);
  return `may contact ${host}${local} over ${protocol}${port}, ${doing}${paths}`;
}

function methods(list: readonly string[]): string {
  if (list.includes("*")) return "reading and sending anything";
  if (list.every((method) => READING.has(method))) return "reading only";
  return `with ${listed(list)}`;
}

function filesystem(scope: FilesystemScope): string {
  const doing = scope.mode === "r" ? "read" : "read, write and delete";
  if (scope.path === DATA_ROOT) return `may ${doing} files in its own data directory`;
  if (scope.path.startsWith(`${DATA_ROOT}/`))
    return `may ${doing} files in ${displayLine(scope.path.slice(DATA_ROOT.length + 1))} of its own data directory`;
  return scope.path === "/"
    ? `MAY ${doing.toUpperCase()} EVERY FILE OF THIS COMPUTER`
    : `may ${doing} files in ${displayLine(scope.path)} and below`;
}

function secret(scope: SecretScope): string {
  const name = displayLine(scope.name);
  if (scope.expose === true)
    return `RECEIVES THE VALUE OF THE SECRET ${name} ITSELF, and can pass it on to wherever it may send`;
  if (scope.use === undefined)
    return `may use the secret ${name}, but names no place for it, so that it is sent nowhere`;
  const places: Record<string, string> = { header: "header", query: "query parameter", path: "path segment" };
  const [kind = "", place = ""] = scope.use.in.split(":");
  const where = kind === "basic" ? "the password of HTTP Basic" : `${places[kind] ?? "part"} ${displayLine(place)}`;
  return `may have the secret ${name} sent to ${displayLine(scope.use.origin)} in ${where}, without seeing it`;
}

function exec({ command, args, interpreter, file }: ExecScope): string {
  const line = displayLine(commandLine(command, args), 600);
  const real = file === undefined || file.path === command ? "" : ` (which is ${displayLine(file.path)})`;
  const jail = "in a jail of its own: no network, no files but those that the plugin hands it";
  const notes = [
    args.some((arg) => arg !== "-**" && arg !== "**" && arg.includes("*")) ? "* is text of its choice" : "",
    args.at(-1) === "**" ? "** is any number of arguments that are no options" : "",
    args.at(-1) === "-**" ? "-** IS ANY NUMBER OF ARGUMENTS, OPTIONS TOO" : "",
  ].filter(Boolean);
  const what = interpreter === true ? "MAY RUN ANY CODE THROUGH THE INTERPRETER" : "MAY RUN THE PROGRAM";
  return `${what} ${line}${real} ON THIS COMPUTER, ${jail}${notes.length === 0 ? "" : ` (${notes.join("; ")})`}`;
}

/** One text for a command and its arguments; what could be mistaken for two is quoted. */
export function commandLine(command: string, args: readonly string[]): string {
  return [command, ...args].map((part) => (/^[^\s"'\\]+$/.test(part) ? part : JSON.stringify(part))).join(" ");
}

function agent(scope: AgentScope): string {
  const parts: string[] = [];
  if (scope.tools.length > 0)
    parts.push(`call these tools in the name of your agents: ${displayLine(scope.tools.join(", "), 400)}`);
  if (scope.notify === true) parts.push("put short notes in its own words before you");
  return `may ${parts.join(", and ") || "do nothing with your agents"}`;
}

function events(scope: EventsScope): string {
  const topic = scope.topic === "*" ? "any topic" : displayLine(scope.topic);
  return scope.direction === "publish"
    ? `may pass data to other plugins, as events of ${topic}`
    : `may receive data from other plugins, as events of ${topic}${background(scope)}`;
}

function background({ background: acts }: EventsScope | HooksScope): string {
  return acts === true ? ", AND THEN DO ALL ELSE THAT IT MAY, WITHOUT ANY CALL OF AN AGENT" : "";
}

function hooks(scope: HooksScope): string {
  const whose = scope.tools.length === 0 ? "its own" : "OTHER PLUGINS'";
  const tools = scope.tools.length === 0 ? "" : ` (${displayLine(scope.tools.join(", "), 400)})`;
  const what = `${hooked(scope)} ${whose} ${scope.event === "plugin.lifecycle" ? "plugin" : "tools"}${tools}`;
  return `${scope.tools.length === 0 ? what : what.replace("may", "MAY")}${payload(scope)}${marked(scope)}${background(scope)}`;
}

function hooked({ event }: HooksScope): string {
  if (event === "tool.before_call") return "may see and deny calls of";
  if (event === "tool.after_call") return "may see what became of calls of";
  if (event === "plugin.lifecycle") return "may see the starts and stops of";
  return `may watch ${displayLine(event)} of`;
}

function payload(scope: HooksScope): string {
  if (scope.payload !== true) return "";
  return scope.event === "tool.before_call" ? ", WITH THEIR ARGUMENTS" : ", WITH THEIR ARGUMENTS AND RESULTS";
}

function marked({ mark }: HooksScope): string {
  if (mark === undefined) return "";
  return `, AND WRITE ${displayLine(JSON.stringify(mark.value), 200)} AT ${displayLine(mark.pointer)} OF THEIR ARGUMENTS`;
}

function unscoped(request: PermissionRequest): string {
  const later = "(nothing until you say which)";
  switch (request.capability) {
    case "network":
      return `wants to contact servers on the internet ${later}`;
    case "filesystem":
      return `wants to ${request.mode === "rw" ? "read, write and delete" : "read"} files ${later}`;
    case "secrets":
      return `wants to use secrets ${later}`;
    case "exec":
      return `WANTS TO RUN PROGRAMS ON THIS COMPUTER ${later}`;
    case "database":
      return `wants to ${request.mode === "rw" ? "read and change data in" : "read"} databases ${later}`;
    case "agent":
      return `wants to call tools in the name of your agents ${later}`;
    case "events":
      return `wants to ${request.direction === "consume" ? "read other plugins' events" : "publish events to other plugins"} ${later}`;
    case "hooks":
      return `WANTS TO WATCH TOOL CALLS ${later}`;
    case "system":
      return `wants to learn facts about this computer ${later}`;
    case "tools":
      return "may offer its tools to your agents";
  }
}

function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1) ?? ""}`;
}
