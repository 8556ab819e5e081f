import type { OperatorsApi } from "../host-api.ts";
import { type Clock, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { hashPassphrase, matchesPassphrase } from "./passphrase.ts";

/** Where the record lives: the home's settings table. */
export interface SettingsPort {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
}

export interface OperatorsDeps {
  readonly settings: SettingsPort;
  readonly clock: Clock;
  /** Told of each attempt that carried a passphrase, for the audit. Never sees the passphrase. */
  readonly onAttempt?: (attempt: { readonly ok: boolean }) => void;
}

export const PASSPHRASE_SETTING = "operator.passphrase";

/** Wrong tries that cost nothing; each further one doubles the wait, up to the longest. */
const FREE_TRIES = 3;
const LONGEST_WAIT_MS = 60_000;

/** One passphrase for the operators of a home. Tries are handled one after the other, so that none escapes the count. */
export async function createOperators(deps: OperatorsDeps): Promise<OperatorsApi> {
  let record = await deps.settings.get(PASSPHRASE_SETTING);
  let failures = 0;
  let blockedUntil = 0;
  let turn: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work, work);
    turn = result.catch(() => undefined);
    return result;
  }

  async function check(passphrase: string | undefined): Promise<void> {
    if (record === null) return;
    if (passphrase === undefined || passphrase === "") throw missing();
    const wait = blockedUntil - deps.clock.monotonic();
    if (wait > 0) throw tooMany(wait);
    const ok = await matchesPassphrase(record, passphrase);
    deps.onAttempt?.({ ok });
    if (ok) {
      failures = 0;
      return;
    }
    failures++;
    if (failures >= FREE_TRIES) {
      blockedUntil =
        deps.clock.monotonic() + Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(failures - FREE_TRIES, 10));
    }
    throw wrong();
  }

  return {
    get passphraseSet() {
      return record !== null;
    },
    authenticate: (passphrase) => inTurn(() => check(passphrase)),
    setPassphrase: (current, next) =>
      inTurn(async () => {
        await check(current);
        const written = await hashPassphrase(next);
        await deps.settings.set(PASSPHRASE_SETTING, written);
        record = written;
      }),
  };
}

function missing(): SallyportError {
  return new PolicyViolationError("passphrase_required", "This needs the operator's passphrase.", {
    detail: "A passphrase was set for this home, so that an agent with a shell cannot do this on its own.",
    fix: "Run it in a terminal, or pass --passphrase-file FILE or SALLYPORT_PASSPHRASE.",
  });
}

function wrong(): SallyportError {
  return new PolicyViolationError("passphrase_required", "The passphrase is wrong.", {
    detail: "It does not match the one that was set for this home.",
    fix: "Try again with the right passphrase.",
    data: { wrong: true },
  });
}

function tooMany(waitMs: number): SallyportError {
  const seconds = Math.ceil(waitMs / 1000);
  return new SallyportError("limit_exceeded", "Too many wrong passphrases.", {
    detail: "After several wrong tries each further one has to wait.",
    fix: `Try again in ${seconds} second${seconds === 1 ? "" : "s"}.`,
    data: { retry_after_seconds: seconds },
  });
}
