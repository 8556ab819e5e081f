import type { HostConfig } from "../config/index.ts";
import { createRedactor, type Vault } from "../secrets/index.ts";
import { openCredentials } from "./credentials.ts";
import { createOutputGate, type OutputGate } from "./outputs.ts";

/** The gate for plugins' words, over the secrets of the vault and the operator's setting, as they are at each moment. */
export async function openOutputs(vault: Vault, settings: () => HostConfig["outputs"]): Promise<OutputGate> {
  return createOutputGate({
    redactor: createRedactor(() => vault.known()),
    credentials: await openCredentials(),
    masks: () => settings().credentials === "mask",
  });
}
