import { type PermissionRequest, riskOf, sentenceOf } from "../capability/index.ts";
import type { Finding, Severity, Subject } from "./types.ts";

/** What a manifest asks for that is wider than most plugins need. */
export function checkPermissions({ manifest, manifestFile }: Subject): readonly Finding[] {
  return manifest.permissions.flatMap((request) => {
    if (request.capability === "tools") return [];
    const found = [
      ...broad(request),
      ...(riskOf(request) === "critical" ? [critical(request)] : []),
      ...unexplained(request),
    ];
    return found.map(([severity, message, fix]): Finding => ({
      rule: "permission",
      severity,
      file: manifestFile,
      line: null,
      message,
      fix,
    }));
  });
}

type Remark = readonly [severity: Severity, message: string, fix: string];

function broad(request: PermissionRequest): readonly Remark[] {
  const { scope, key } = request;
  const warn = (message: string, fix: string): Remark => ["warning", `${key} ${message}`, fix];
  if (scope === null)
    return [
      warn(
        "names no scope: it grants nothing until you fill one in with --scope.",
        "Say in the manifest what exactly is needed.",
      ),
    ];
  if (scope.capability === "network") {
    const found: Remark[] = [];
    if (scope.host.startsWith("*."))
      found.push(warn(`reaches every host below ${scope.host.slice(2)}.`, "Name the hosts."));
    if (scope.scheme === "http" || scope.scheme === "ws")
      found.push(warn("is not encrypted: others on the way read and change it.", "Use https."));
    if (scope.methods.includes("*") && scope.paths.some((path) => path === "/**"))
      found.push([
        "note",
        `${key} may send anything to any path of that host.`,
        "Name methods and paths, as in methods: [GET].",
      ]);
    return found;
  }
  if (scope.capability === "filesystem" && scope.path === "/")
    return [warn("reaches the whole disk.", "Name a folder.")];
  if (scope.capability === "filesystem" && scope.mode === "rw" && !scope.path.startsWith("${data}"))
    return [warn("writes outside the plugin's own folder.", "Write below ${data}, or ask for mode: r.")];
  if (scope.capability === "exec" && scope.args.at(-1) === "-**")
    return [warn("lets the plugin choose any options.", "Write the options out, and ** for the rest.")];
  if (scope.capability === "exec" && scope.args.at(-1) === "**")
    return [warn("lets the plugin choose any number of arguments.", "Write one pattern for each argument.")];
  return [];
}

function critical(request: PermissionRequest): Remark {
  return [
    "warning",
    `${request.key} is a critical risk: the plugin ${sentenceOf(request)}.`,
    "Ask for less, if there is a way.",
  ];
}

function unexplained(request: PermissionRequest): readonly Remark[] {
  if (request.reason !== undefined && request.reason !== "") return [];
  return [
    ["note", `${request.key} gives no reason.`, "Add reason: one sentence that an operator reads before saying yes."],
  ];
}
