import { displayLine, SallyportError } from "../kernel/index.ts";
import { canonicalArguments } from "./arguments.ts";
import { networkFromText, secretUse } from "./build.ts";
import { canonicalCommand } from "./command.ts";
import { canonicalFacet } from "./facets.ts";
import { canonicalFilePath } from "./file-path.ts";
import { HOOK_EVENTS, type HookEvent, isHookEvent, isTopicPattern } from "./topics.ts";
import type { Scope } from "./types.ts";

const NAME = /^[A-Za-z][A-Za-z0-9_.:-]{0,127}$/;
const TOOL = /^(?:\*|[a-z][a-z0-9_-]{0,63}\*?)$/;

const FORMS: Record<string, string> = {
  network:
    "network=api.example.com, network=host:8443, network=https://host:port/path/*,methods=GET+HEAD, network+private=http://nas.local:8080, network+loopback=http://127.0.0.1:8123",
  filesystem: "filesystem=/data:r, filesystem=/data:rw or filesystem=${data}/cache:rw",
  secrets:
    "secrets=NAME,origin=https://api.example.com,in=header:authorization,format=Bearer {} or secrets+expose=NAME",
  exec: 'exec="git status", exec="git log **", exec=["/usr/bin/date","+%F %T"] or exec+interpreter="/usr/bin/python3 -"',
  database: "database=NAME:r or database=NAME:rw",
  agent: "agent=weather__forecast,notes__* or agent+notify=",
  events: "events=publish:orders.created, events=consume:orders.* or events+background=consume:orders.*",
  hooks: "hooks=tool.after_call or hooks+payload=tool.before_call:other__tool",
  system: "system=hostname",
  tools: "tools",
};

/**
 * One `--scope` of the command line: `capability[+flag]=value[,option=value…]`.
 * @throws {SallyportError} `usage`, with the forms that the capability has.
 */
export function parseScopeArgument(text: string): Scope {
  const equals = text.indexOf("=");
  const left = equals === -1 ? text : text.slice(0, equals);
  const value = equals === -1 ? "" : text.slice(equals + 1);
  const [capability = "", ...flags] = left.split("+");
  const form = Object.hasOwn(FORMS, capability) ? FORMS[capability] : undefined;
  if (form === undefined) {
    throw new SallyportError("usage", `"${displayLine(left, 60)}" is not a capability that a scope can name.`, {
      fix: `Use one of ${Object.keys(FORMS).join(", ")}, as in filesystem=/data:r.`,
    });
  }
  try {
    return build(capability, new Set(flags), value);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    throw new SallyportError("usage", `The scope "${displayLine(text, 120)}" is not understood: ${error.message}`, {
      fix: `${error.fix ?? ""} Forms: ${form}.`.trim(),
    });
  }
}

function refuse(message: string): never {
  throw new SallyportError("usage", message);
}

function build(capability: string, flags: ReadonlySet<string>, value: string): Scope {
  switch (capability) {
    case "network":
      return network(only(flags, ["private", "loopback"]), value);
    case "filesystem": {
      only(flags, []);
      const [path, mode] = withMode(value);
      return { capability, path: canonicalFilePath(path), mode };
    }
    case "database": {
      only(flags, []);
      const [connection, mode] = withMode(value);
      return { capability, connection: named(connection), mode };
    }
    case "secrets":
      return secret(only(flags, ["expose"]), value);
    case "exec":
      return exec(only(flags, ["interpreter"]), value);
    case "agent": {
      const notify = only(flags, ["notify"]).has("notify");
      const tools = value === "" ? [] : value.split(",").map((tool) => matching(TOOL, tool));
      if (tools.length === 0 && !notify) refuse("No tool is named.");
      return { capability, tools, ...(notify ? { notify } : {}) };
    }
    case "events": {
      const [direction, topic = ""] = split(value, ":");
      const background = only(flags, direction === "consume" ? ["background"] : []).has("background");
      if (direction !== "publish" && direction !== "consume") return refuse("The direction is publish or consume.");
      if (!isTopicPattern(topic)) return refuse(`"${displayLine(topic, 60)}" is no topic, or one of the host's own.`);
      return { capability, direction, topic, ...(background ? { background } : {}) };
    }
    case "hooks": {
      const [event, tools] = split(value, ":");
      if (!isHookEvent(event)) return refuse(`It is on one of ${HOOK_EVENTS.join(", ")}.`);
      const { payload, background } = hookFlags(event, flags);
      return {
        capability,
        event,
        tools: tools === undefined ? [] : tools.split(",").map((tool) => matching(TOOL, tool)),
        ...(payload ? { payload } : {}),
        ...(background ? { background } : {}),
      };
    }
    case "system":
      only(flags, []);
      return { capability, facet: canonicalFacet(value) };
    case "tools":
      only(flags, []);
      return value === "" ? { capability } : refuse("It takes no value.");
    default:
      return refuse("The capability is not known.");
  }
}

function network(flags: ReadonlySet<string>, text: string): Scope {
  const [address, options] = withOptions(text, ["methods"]);
  const scope = networkFromText(address, options.get("methods")?.split("+"));
  return {
    ...scope,
    ...(flags.has("private") ? { private: true } : {}),
    ...(flags.has("loopback") ? { loopback: true } : {}),
  };
}

function secret(flags: ReadonlySet<string>, text: string): Scope {
  const [name, options] = withOptions(text, ["origin", "in", "format"]);
  const origin = options.get("origin");
  const place = options.get("in");
  if ((origin === undefined) !== (place === undefined)) return refuse("A use needs both origin and in.");
  const use =
    origin === undefined || place === undefined
      ? {}
      : { use: secretUse({ origin, in: place, format: options.get("format") }) };
  return { capability: "secrets", name: named(name), ...use, ...(flags.has("expose") ? { expose: true } : {}) };
}

/** Words with single spaces between them, or a JSON list where an argument has a space. No shell reads either. */
function exec(flags: ReadonlySet<string>, text: string): Scope {
  const [command = "", ...args] = text.trimStart().startsWith("[") ? jsonTexts(text) : text.trim().split(/ +/);
  if (!text.trimStart().startsWith("[") && /[\s"'`$;&|<>\\]/.test(text.replaceAll(" ", "")))
    refuse("A command is one program and its arguments; no shell reads it.");
  return {
    capability: "exec",
    command: canonicalCommand(command),
    args: canonicalArguments(args),
    ...(flags.has("interpreter") ? { interpreter: true } : {}),
  };
}

function hookFlags(event: HookEvent, flags: ReadonlySet<string>): { payload: boolean; background: boolean } {
  only(flags, event === "tool.before_call" ? ["payload"] : ["payload", "background"]);
  return { payload: flags.has("payload"), background: flags.has("background") };
}

function jsonTexts(text: string): readonly string[] {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list;
  } catch {
    // said below
  }
  return refuse("It is not a JSON list of texts.");
}

function only(flags: ReadonlySet<string>, known: readonly string[]): ReadonlySet<string> {
  for (const flag of flags) if (!known.includes(flag)) refuse(`It has no flag "${displayLine(flag, 40)}".`);
  return flags;
}

function withMode(text: string): readonly [string, "r" | "rw"] {
  if (text.endsWith(":rw")) return [text.slice(0, -3), "rw"];
  if (text.endsWith(":r")) return [text.slice(0, -2), "r"];
  return refuse("The mode is missing.");
}

function withOptions(text: string, known: readonly string[]): readonly [string, ReadonlyMap<string, string>] {
  const parts = text.split(new RegExp(`,(?=(?:${known.join("|")})=)`));
  const options = new Map<string, string>();
  for (const part of parts.slice(1)) {
    const [name, value = ""] = split(part, "=");
    if (options.has(name)) refuse(`The option ${name} is there twice.`);
    options.set(name, value);
  }
  return [parts[0] ?? "", options];
}

function split(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function named(text: string): string {
  return matching(NAME, text);
}

function matching(pattern: RegExp, text: string): string {
  return pattern.test(text) ? text : refuse(`"${displayLine(text, 60)}" is not a name that fits here.`);
}
