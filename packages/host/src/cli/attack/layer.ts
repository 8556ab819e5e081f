import type { IsolationLevel } from "../../kernel/index.ts";
import type { Attempt } from "./list.ts";
import type { Attack, Ending, Setting } from "./types.ts";

const BY_CODE: Readonly<Record<string, string>> = {
  protocol_violation: "protocol",
  handshake_failed: "protocol",
  undeclared_tool: "gate",
  missing_tool: "gate",
  deadline_exceeded: "supervisor",
  cancelled: "supervisor",
  busy: "supervisor",
  limit_exceeded: "supervisor",
  crash_budget: "supervisor",
  load_failed: "supervisor",
  initialize_failed: "supervisor",
  launch_failed: "supervisor",
  permission_denied: "broker",
  address_refused: "broker",
  network_failed: "broker",
  secret_misuse: "broker",
  quota_exceeded: "broker",
};

const BROKER =
  /^(?:permission_denied|address_refused|network_failed|secret_m\w+|quota_exceeded|limit_exceeded|usage|not_found|conflict)\b/;
const RUNTIME =
  /NotCapable|[Rr]equires? \w+ access|ERR_ACCESS_DENIED|--allow-|--no-remote|--no-npm|not allowed|not available to a plugin|is not a function|remote|npm|jsr|specifier|URL scheme|permission/;

/** What stopped an attack, from how it ended and what the system said to those who tried. */
export function layerOf(attack: Attack, setting: Setting, ending: Ending, attempts: readonly Attempt[]): string {
  if (attack.stage === "install") return "gate";
  if ("code" in ending) {
    if (ending.code === "plugin_crashed") return layerOfCrash(ending.detail ?? "");
    if (ending.code === "load_failed" && RUNTIME.test(ending.detail ?? "")) return "runtime permission";
    return BY_CODE[ending.code] ?? "gate";
  }
  const counts = new Map<string, number>();
  for (const { error = "" } of attempts) {
    const layer = layerOfError(error, setting);
    counts.set(layer, (counts.get(layer) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted((a, b) => b[1] - a[1]);
  return most?.[0] ?? "supervisor";
}

function layerOfCrash(detail: string): string {
  if (/memory/.test(detail)) return "rlimit";
  if (/forbidden system call/.test(detail)) return "seccomp";
  if (/size limit/.test(detail)) return "rlimit";
  return "supervisor";
}

function layerOfError(error: string, { level, permissions }: Setting): string {
  const number = Number(
    /(?:errno|os error) (\d+)/.exec(error)?.[1] ?? NAMED[/\bE[A-Z0-9]{3,}\b/.exec(error)?.[0] ?? ""],
  );
  if (BROKER.test(error)) return "broker";
  if (!Number.isNaN(number)) return layerOfErrno(number, level);
  // What is not there was never given: the process was started without it.
  if (/environment is empty|not set|no descriptor/.test(error)) return "supervisor";
  if (/placeholder|left out by the host|none but its own|no more than the file/.test(error)) return "broker";
  if (RUNTIME.test(error)) return "runtime permission";
  return permissions === "open" ? fileWall(level) : "runtime permission";
}

const NAMED: Readonly<Record<string, number>> = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ENOSYS: 38,
  EAFNOSUPPORT: 97,
};

const fileWall = (level: IsolationLevel): string =>
  level === "namespace" ? "kernel namespace" : level === "landlock" ? "landlock" : "file system";

function layerOfErrno(number: number, level: IsolationLevel): string {
  switch (number) {
    case 38:
    case 97:
    case 25:
      return "seccomp";
    case 1:
      return level === "runtime" ? "kernel credentials" : "seccomp";
    case 13:
      return level === "landlock" ? "landlock" : "kernel credentials";
    case 11:
    case 12:
    case 24:
    case 27:
      return "rlimit";
    default:
      return fileWall(level);
  }
}
