export interface DeviceCount {
  kind: string;
  total: number;
  on: number;
}

/** Counts an answer to `/api/states` by kind: `light.kitchen` is a light. */
export function countDevices(states: unknown): DeviceCount[] {
  const kinds = new Map<string, DeviceCount>();
  for (const entry of Array.isArray(states) ? states : []) {
    const { entity_id: entity, state } = isRecord(entry) ? entry : {};
    if (typeof entity !== "string") continue;
    const kind = entity.slice(0, Math.max(0, entity.indexOf(".")));
    const count = kinds.get(kind) ?? { kind, total: 0, on: 0 };
    kinds.set(kind, { kind, total: count.total + 1, on: count.on + (state === "on" ? 1 : 0) });
  }
  return [...kinds.values()].toSorted((a, b) => (a.kind < b.kind ? -1 : 1)).slice(0, 1000);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
