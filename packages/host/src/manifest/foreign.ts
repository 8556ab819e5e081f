import { networkFromText, parseScopeArgument, type PermissionRequest, type Scope } from "../capability/index.ts";
import { displayLine } from "../kernel/index.ts";
import { toolsOfActions } from "./foreign-actions.ts";
import { foldId } from "./ids.ts";
import type { PathPart, Problems } from "./problems.ts";
import { networkOfHost, requestFor } from "./requests.ts";
import { foreignCategory, foreignName, MISSY_FLAGS, MISSY_LISTS } from "./vocabulary.ts";

type Raw = Record<string, unknown>;

/** A manifest in our own spelling, and what its other spellings asked for. */
export interface Respelled {
  readonly raw: Raw;
  readonly requests: readonly PermissionRequest[];
  readonly warnings: readonly string[];
}

interface Work {
  readonly raw: Raw;
  readonly problems: Problems;
  readonly requests: PermissionRequest[];
  readonly warnings: string[];
  readonly systems: Set<"missy" | "manasvi" | "powerhouse" | "tyrum">;
  providesTools: boolean;
  /** Whether the manifest says anything about permissions in one of the other spellings. */
  declares: boolean;
}

/**
 * Rewrites the spellings of the four other systems into ours. What is unknown in any of them is a problem; what is ours already
 * passes untouched.
 */
export function respell(source: Raw, problems: Problems): Respelled {
  const work: Work = {
    raw: { ...source },
    problems,
    requests: [],
    warnings: [],
    systems: new Set(),
    providesTools: false,
    declares: false,
  };
  readNameLists(work);
  readPermissions(work);
  if (work.systems.size > 0) fillForeign(work);
  foldIdentity(work);
  return work;
}

/** `capabilities` (Manasvi, Powerhouse) and `required_permissions` (Powerhouse). */
function readNameLists(work: Work): void {
  const { raw } = work;
  for (const key of ["capabilities", "required_permissions"]) {
    if (!(key in raw)) continue;
    const value = raw[key];
    delete raw[key];
    work.systems.add("powerhouse");
    if (key === "required_permissions") work.declares = true;
    if (!Array.isArray(value))
      work.problems.add("manifest_invalid", [key], "It is not a list of names.", "Write [NAME, …].");
    else
      value.slice(0, 64).forEach((item: unknown, index) => readName(item, [key, index], key === "capabilities", work));
  }
}

/** One name, `name:scope`, or `{name: scope}`; `capabilities` may also hold categories. */
function readName(item: unknown, path: readonly PathPart[], categoriesToo: boolean, work: Work): void {
  const [name, scopes] = nameAndScopes(item);
  const category = categoriesToo && scopes.length === 0 ? foreignCategory(name) : undefined;
  if (category !== undefined) {
    const before: unknown = work.raw["categories"];
    const categories: unknown[] = Array.isArray(before) ? before : [];
    if (!categories.includes(category)) work.raw["categories"] = [...categories, category];
    return;
  }
  const known = foreignName(name);
  if (known === undefined) {
    const kind = categoriesToo ? "capability" : "permission";
    work.problems.add(
      "manifest_invalid",
      path,
      `The ${kind} ${JSON.stringify(displayLine(name, 60))} is not known.`,
      "Correct its spelling, or remove it.",
    );
    return;
  }
  work.declares = true;
  work.systems.add(known.system);
  if (known.system === "manasvi") work.systems.delete("powerhouse");
  if (known.capability === "tools") {
    work.providesTools = true;
    work.requests.push(requestFor({ capability: "tools" }));
    return;
  }
  if (scopes.length === 0) {
    const { capability, mode, direction } = known;
    work.requests.push({
      key: direction === undefined ? capability : `${capability}:${direction}`,
      scope: null,
      capability,
      ...(mode === undefined ? {} : { mode }),
      ...(direction === undefined ? {} : { direction }),
      required: true,
    });
    return;
  }
  for (const text of scopes) {
    const scope = work.problems.attempt("manifest_invalid", path, () =>
      scopeOf(known.capability, text, known.mode, known.direction),
    );
    if (scope !== undefined) work.requests.push(requestFor(scope));
  }
}

function nameAndScopes(item: unknown): readonly [string, readonly string[]] {
  if (typeof item === "string") {
    const colon = item.indexOf(":");
    return colon === -1 ? [item, []] : [item.slice(0, colon), [item.slice(colon + 1)]];
  }
  const entries =
    typeof item === "object" && item !== null && !Array.isArray(item) ? Object.entries<unknown>({ ...item }) : [];
  const [entry] = entries;
  if (entry === undefined || entries.length !== 1) return ["", []];
  const [name, value] = entry;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.every((text) => typeof text === "string") ? [name, list] : ["", []];
}

/** A scope as the command line writes it, so that there is one grammar; without its flags, which are the operator's. */
function scopeOf(capability: string, text: string, mode: "r" | "rw" | undefined, direction: string | undefined): Scope {
  if (capability === "network") return networkFromText(text);
  const withMode = mode === undefined || /:rw?$/.test(text) ? text : `${text}:${mode}`;
  return parseScopeArgument(`${capability}=${direction === undefined ? withMode : `${direction}:${text}`}`);
}

/** `permissions` as a list of names, as Missy's booleans, or with Tyrum's `network_egress` and `db`. */
function readPermissions(work: Work): void {
  const { permissions } = work.raw;
  if (Array.isArray(permissions)) {
    work.systems.add("powerhouse");
    permissions.slice(0, 64).forEach((item: unknown, index) => readName(item, ["permissions", index], false, work));
    work.raw["permissions"] = {};
  } else if (typeof permissions === "object" && permissions !== null) {
    const own: Raw = { ...permissions };
    work.raw["permissions"] = own;
    readMissy(own, work);
    readTyrum(own, work);
    readShorthands(own);
  }
}

function readMissy(own: Raw, work: Work): void {
  const flags = [...MISSY_FLAGS, ...MISSY_LISTS].some((key) => key in own) || typeof own["network"] === "boolean";
  if (!flags) return;
  work.systems.add("missy");
  const network = typeof own["network"] === "boolean" ? takeFlag(own, "network", work) : false;
  const scopedNetwork = Array.isArray(own["network"]);
  const read = takeFlag(own, "filesystem_read", work);
  const write = takeFlag(own, "filesystem_write", work);
  const shell = takeFlag(own, "shell", work);
  const hosts = takeTexts(own, "allowed_hosts", work);
  const paths = takeTexts(own, "allowed_paths", work);
  if (hosts.length > 0 && !network && !scopedNetwork) {
    work.problems.add(
      "manifest_invalid",
      ["permissions", "allowed_hosts"],
      "It does nothing without network: true.",
      "Add network: true, or remove the hosts.",
    );
  }
  if (paths.length > 0 && !read && !write) {
    work.problems.add(
      "manifest_invalid",
      ["permissions", "allowed_paths"],
      "It does nothing without filesystem_read or filesystem_write.",
      "Add one of them, or remove the paths.",
    );
  }
  hosts.forEach((host, index) => {
    const scopes =
      work.problems.attempt("manifest_invalid", ["permissions", "allowed_hosts", index], () => networkOfHost(host)) ??
      [];
    for (const scope of scopes) work.requests.push(requestFor(scope, { optional: scopes.length > 1 })); // one of the two is meant
  });
  if (network && hosts.length === 0)
    work.requests.push({ key: "network", scope: null, capability: "network", required: true });
  const mode = write ? "rw" : "r";
  paths.forEach((path, index) => {
    const scope = work.problems.attempt("manifest_invalid", ["permissions", "allowed_paths", index], () =>
      scopeOf("filesystem", path, mode, undefined),
    );
    if (scope !== undefined) work.requests.push(requestFor(scope));
  });
  if ((read || write) && paths.length === 0)
    work.requests.push({ key: "filesystem", scope: null, capability: "filesystem", mode, required: true });
  if (shell) work.requests.push({ key: "exec", scope: null, capability: "exec", required: true });
}

function readTyrum(own: Raw, work: Work): void {
  if ("network_egress" in own) {
    work.systems.add("tyrum");
    takeTexts(own, "network_egress", work).forEach((text, index) => {
      const scope = work.problems.attempt("manifest_invalid", ["permissions", "network_egress", index], () =>
        networkFromText(text),
      );
      if (scope !== undefined) work.requests.push(requestFor(scope));
    });
  }
  if ("db" in own) {
    work.systems.add("tyrum");
    const value = own["db"];
    delete own["db"];
    if (value === false || value === "none") return;
    if (value !== "read" && value !== "write" && value !== "readwrite") {
      work.problems.add(
        "manifest_invalid",
        ["permissions", "db"],
        "It is none of none, read and readwrite.",
        "Use database: [{ connection, mode }].",
      );
    } else
      work.requests.push({
        key: "database",
        scope: null,
        capability: "database",
        mode: value === "read" ? "r" : "rw",
        required: true,
      });
  }
}

/** A text where our own spelling has an object: the host, path or name alone. */
function readShorthands(own: Raw): void {
  for (const [capability, field] of Object.entries({
    network: "host",
    filesystem: "path",
    secrets: "name",
    database: "connection",
    system: "facet",
  })) {
    const items = own[capability];
    if (Array.isArray(items))
      own[capability] = items.map((item: unknown) => (typeof item === "string" ? { [field]: item } : item));
  }
}

function takeFlag(own: Raw, key: string, work: Work): boolean {
  const value = own[key] ?? false;
  delete own[key];
  if (typeof value !== "boolean")
    work.problems.add(
      "manifest_invalid",
      ["permissions", key],
      "It is neither true nor false.",
      "Write true or false.",
    );
  return value === true;
}

function takeTexts(own: Raw, key: string, work: Work): readonly string[] {
  const value = own[key] ?? [];
  delete own[key];
  if (Array.isArray(value) && value.length <= 64 && value.every((item) => typeof item === "string")) return value;
  work.problems.add("manifest_invalid", ["permissions", key], "It is not a list of at most 64 texts.", "Write [a, b].");
  return [];
}

/** What the other systems do not state has their own defaults, each with a warning. */
function fillForeign(work: Work): void {
  const { raw, warnings } = work;
  if (raw["id"] === undefined && typeof raw["name"] === "string") {
    raw["id"] = raw["name"].trim().replaceAll(/\s+/g, "-");
    warnings.push("The manifest has no id; its name is used.");
  }
  if (raw["entry"] === undefined) {
    raw["entry"] = "plugin.js";
    warnings.push("The manifest has no entry; plugin.js is used.");
  }
  if (work.declares) raw["permissions"] ??= {};
  if (raw["config_schema"] === undefined) {
    raw["config_schema"] = { type: "object", additionalProperties: work.systems.has("powerhouse") };
    warnings.push(
      work.systems.has("powerhouse")
        ? "The manifest has no config_schema; any configuration is accepted."
        : "The manifest has no config_schema; no configuration is accepted.",
    );
  }
  toolsOfActions(raw, work.problems, warnings, work.systems.has("missy"));
  const tools: unknown = Reflect.get(Object(raw["contributes"]), "tools");
  if (work.systems.has("manasvi") && !work.providesTools && Array.isArray(tools) && tools.length > 0) {
    work.problems.add(
      "manifest_invalid",
      ["capabilities"],
      "The manifest declares tools and does not ask for provide-tools.",
      "Add provide-tools.",
    );
  }
}

function foldIdentity(work: Work): void {
  const { id } = work.raw;
  if (typeof id !== "string" || foldId(id) === id) return;
  work.raw["id"] = foldId(id);
  work.warnings.push(
    `The id ${JSON.stringify(displayLine(id, 60))} is read as ${JSON.stringify(displayLine(foldId(id), 60))}.`,
  );
}
