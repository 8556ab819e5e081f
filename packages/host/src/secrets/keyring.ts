import type { Keyring } from "./vault-key.ts";

const SERVICE = "sallyport";
const WAIT_MS = 20_000;

/**
 * The operating system's keyring: Keychain, Credential Manager, Secret Service. On Linux never the kernel's own, which forgets at
 * a restart of the machine. @throws when the optional library is not installed or there is no keyring.
 */
export async function openSystemKeyring(): Promise<Keyring> {
  const { AsyncEntry } = await import("@napi-rs/keyring");
  const entry = (account: string) => new AsyncEntry(SERVICE, account, { linux: { store: "secret-service" } });
  return {
    get: (account) => entry(account).getPassword(inTime()),
    set: (account, password) => entry(account).setPassword(password, inTime()),
    remove: async (account) => {
      await entry(account).deletePassword(inTime());
    },
  };
}

/** It may wait for a person who unlocks it. */
function inTime(): AbortSignal {
  return AbortSignal.timeout(WAIT_MS);
}
