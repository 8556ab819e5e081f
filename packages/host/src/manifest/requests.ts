import {
  type NetworkScope,
  networkScope,
  type PermissionRequest,
  type Scope,
  scopeKey,
  secretUse,
  canonicalFilePath,
} from "../capability/index.ts";
import type { RawManifest } from "./shape.ts";
import type { HookDefinition, McpServerDefinition } from "./types.ts";

type RawPermissions = RawManifest["permissions"];

interface Wanted {
  readonly reason?: string | undefined;
  readonly optional?: boolean | undefined;
}

/** One request of a scope; its key is made unique later. */
export function requestFor(scope: Scope, wanted: Wanted = {}): PermissionRequest {
  return {
    key: scopeKey(scope),
    scope,
    capability: scope.capability,
    ...(wanted.reason === undefined ? {} : { reason: wanted.reason }),
    required: wanted.optional !== true,
  };
}

/** The requests of our own spelling; the order of keys in the file makes no difference. The shape was checked before. */
export function requestsOf(permissions: RawPermissions): readonly PermissionRequest[] {
  const found: PermissionRequest[] = [];
  for (const capability of Object.keys(permissions)) {
    switch (capability) {
      case "network":
        for (const item of permissions.network ?? []) found.push(requestFor(networkScope(item), item));
        break;
      case "filesystem":
        for (const item of permissions.filesystem ?? [])
          found.push(requestFor({ capability, path: canonicalFilePath(item.path), mode: item.mode ?? "r" }, item));
        break;
      case "secrets":
        for (const item of permissions.secrets ?? []) {
          const use = item.use === undefined ? {} : { use: secretUse(item.use) };
          found.push(
            requestFor(
              { capability, name: item.name, ...use, ...(item.expose === true ? { expose: true } : {}) },
              item,
            ),
          );
        }
        break;
      case "database":
        for (const item of permissions.database ?? [])
          found.push(requestFor({ capability, connection: item.connection, mode: item.mode ?? "r" }, item));
        break;
      case "exec":
        for (const item of permissions.exec ?? [])
          found.push(requestFor({ capability, command: item.command, args: item.args ?? [] }, item));
        break;
      case "agent":
        for (const item of permissions.agent ?? [])
          found.push(
            requestFor(
              { capability, tools: item.tools ?? [], ...(item.notify === true ? { notify: true } : {}) },
              item,
            ),
          );
        break;
      case "events":
        for (const item of permissions.events ?? [])
          found.push(
            requestFor({ capability, direction: item.direction, topic: item.topic, ...backgroundOf(item) }, item),
          );
        break;
      case "system":
        for (const item of permissions.system ?? []) found.push(requestFor({ capability, facet: item.facet }, item));
        break;
    }
  }
  return found;
}

/** What contributions ask for by being there: tools, and each hook. */
export function requestsOfContributions(contributes: RawManifest["contributes"]): readonly PermissionRequest[] {
  const found: PermissionRequest[] = [];
  if ((contributes.tools ?? []).length > 0) found.push(requestFor({ capability: "tools" }));
  for (const hook of contributes.hooks ?? []) {
    const scope: Scope = {
      capability: "hooks",
      event: hook.event,
      tools: hook.tools ?? [],
      ...(hook.payload === true ? { payload: true } : {}),
      ...(hook.mark === undefined ? {} : { mark: hook.mark }),
      ...backgroundOf(hook),
    };
    found.push(requestFor(scope, hook));
  }
  return found;
}

export function hookOf(hook: NonNullable<RawManifest["contributes"]["hooks"]>[number]): HookDefinition {
  return {
    event: hook.event,
    handler: hook.handler,
    ...(hook.tools === undefined ? {} : { tools: hook.tools }),
    ...(hook.payload === undefined ? {} : { payload: hook.payload }),
    ...(hook.mark === undefined ? {} : { mark: hook.mark }),
    ...backgroundOf(hook),
  };
}

function backgroundOf({ background }: { readonly background?: boolean | undefined }): { readonly background?: true } {
  return background === true ? { background } : {};
}

export function mcpServerOf(
  server: NonNullable<RawManifest["contributes"]["mcp_servers"]>[number],
): McpServerDefinition {
  const { name, description, program, args, url, tools } = server;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(program === undefined ? {} : { program }),
    ...(args === undefined ? {} : { args }),
    ...(url === undefined ? {} : { url }),
    ...(tools === undefined ? {} : { tools }),
  };
}

/**
 * `host:port` of a system that names no scheme: https at 443, http at 80, and both, as two requests, at any other port.
 */
export function networkOfHost(host: string): readonly NetworkScope[] {
  const secure = networkScope({ host });
  if (secure.port === 443) return [secure];
  const plain = networkScope({ host, scheme: "http" });
  return secure.port === 80 ? [plain] : [secure, plain];
}

/**
 * One list of requests with unique keys. A request without a scope falls away where a scoped one of its kind says how far it
 * reaches; two of one kind become the wider one. Equal requests become one.
 */
export function mergeRequests(requests: readonly PermissionRequest[]): readonly PermissionRequest[] {
  const merged: PermissionRequest[] = [];
  for (const request of requests) {
    const same = merged.findIndex((other) => sameSubject(other, request));
    const other = merged[same];
    if (other === undefined) merged.push(request);
    else
      merged[same] = {
        ...other,
        ...(request.mode === "rw" ? { mode: "rw" } : {}),
        required: other.required || request.required,
      };
  }
  const scoped = merged.filter(
    (request) => request.scope !== null || !merged.some((other) => answers(other.scope, request)),
  );
  const counts = new Map<string, number>();
  return scoped.map((request) => {
    const count = (counts.get(request.key) ?? 0) + 1;
    counts.set(request.key, count);
    return count === 1 ? request : { ...request, key: `${request.key}#${count}` };
  });
}

function sameSubject(a: PermissionRequest, b: PermissionRequest): boolean {
  if (a.scope === null || b.scope === null) return a.scope === b.scope && a.key === b.key;
  return a.key === b.key && JSON.stringify(a.scope) === JSON.stringify(b.scope);
}

function answers(scope: Scope | null, unscoped: PermissionRequest): boolean {
  if (scope === null || scope.capability !== unscoped.capability) return false;
  return scope.capability !== "events" || unscoped.direction === undefined || scope.direction === unscoped.direction;
}
