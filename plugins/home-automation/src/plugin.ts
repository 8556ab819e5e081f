import { type ActionDescription, type Context, Plugin, type ToolContext } from "@sallyport/sdk";
import { countDevices } from "./devices.ts";

const DEFAULT_ADDRESS = "http://homeassistant.local:8123";
const ENTITY = /^[a-z_]+\.[a-z0-9_]+$/;

export default class HomeAutomation extends Plugin {
  /** Without the token there is nothing to do: the load is aborted. */
  override initialize(_config: Readonly<Record<string, unknown>>, ctx: Context): boolean {
    try {
      return ctx.secrets.get("HA_TOKEN") !== "";
    } catch {
      ctx.log.error("HA_TOKEN is missing. Set the secret and grant it.");
      return false;
    }
  }

  override getAvailableActions(): readonly ActionDescription[] {
    return [
      { name: "status", description: "whether Home Assistant answers, and what is on" },
      { name: "turn_on", description: "turns a device on", parameters: { entity_id: "string" } },
      { name: "turn_off", description: "turns a device off", parameters: { entity_id: "string" } },
    ];
  }

  override async execute(
    action = "status",
    params: Readonly<Record<string, unknown>>,
    ctx: ToolContext,
  ): Promise<unknown> {
    if (action === "turn_on" || action === "turn_off") return switchDevice(ctx, action, params.entity_id);
    const greeting = await ask(ctx, "GET", "/api/");
    const message = isRecord(greeting) && typeof greeting.message === "string" ? greeting.message : "";
    return { running: true, message, devices: countDevices(await ask(ctx, "GET", "/api/states")) };
  }
}

async function switchDevice(ctx: ToolContext, service: "turn_on" | "turn_off", entity: unknown): Promise<unknown> {
  if (typeof entity !== "string" || !ENTITY.test(entity))
    throw new Error('"entity_id" is a kind and a name, as in light.kitchen.');
  const changed = await ask(ctx, "POST", `/api/services/homeassistant/${service}`, { entity_id: entity });
  return { entity_id: entity, changed: Array.isArray(changed) ? changed.length : 0 };
}

async function ask(ctx: ToolContext, method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
  const address = typeof ctx.config.address === "string" ? ctx.config.address : DEFAULT_ADDRESS;
  const answer = await ctx.fetch(`${address}${path}`, {
    method,
    // The host writes the token into the request; it is never here.
    secrets: ["HA_TOKEN"],
    signal: ctx.signal,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  if (answer.status === 401) throw new Error("Home Assistant refused the token. Check the secret HA_TOKEN.");
  if (!answer.ok) throw new Error(`Home Assistant answered with status ${answer.status}.`);
  return answer.json();
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
