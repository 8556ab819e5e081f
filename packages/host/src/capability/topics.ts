/** What hooks can be on. */
export const HOOK_EVENTS = ["tool.before_call", "tool.after_call", "plugin.lifecycle"] as const;
export type HookEvent = (typeof HOOK_EVENTS)[number];

export function isHookEvent(text: string): text is HookEvent {
  return HOOK_EVENTS.some((event) => event === text);
}

const TOPIC = /^[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*$/;
const PATTERN = /^(?:\*|[a-z][a-z0-9_.-]*\*?)$/;
const TOPIC_CHARS = 128;

/** First words that the host keeps for itself: nobody shall take a plugin's event for one of ours. */
const RESERVED = new Set([
  "approval",
  "audit",
  "broker",
  "data",
  "event",
  "grant",
  "home",
  "hook",
  "host",
  "key",
  "lock",
  "operator",
  "plugin",
  "plugin_tool",
  "policy",
  "registry",
  "sallyport",
  "secret",
  "store",
  "tool",
]);

/** Whether a plugin may publish under this name: lower-case words with dots between them, none of the host's. */
export function isTopic(name: string): boolean {
  return name.length <= TOPIC_CHARS && TOPIC.test(name) && !isReserved(name);
}

/** A topic, a prefix of some and `*`, or `*` for all. What begins with a word of the host's names nothing and is refused. */
export function isTopicPattern(pattern: string): boolean {
  return pattern.length <= TOPIC_CHARS && PATTERN.test(pattern) && !isReserved(pattern);
}

function isReserved(name: string): boolean {
  const [first = "", ...rest] = name.split(".");
  return RESERVED.has(first) || (rest.length === 0 && first.endsWith("*") && RESERVED.has(first.slice(0, -1)));
}

const POINTER = /^(?:\/(?:[^~/]|~[01]){1,64}){1,8}$/;
const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/** The names on the way to a hook's mark; null when it is no pointer that may be one. */
export function markPath(pointer: string): readonly string[] | null {
  if (pointer.length > 200 || !POINTER.test(pointer)) return null;
  const path = pointer
    .slice(1)
    .split("/")
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  return path.some((name) => FORBIDDEN.has(name)) ? null : path;
}
