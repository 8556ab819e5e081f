import type { z } from "zod";
import { failureAnswer } from "../wire/index.ts";
import { isErrorCode, SallyportError } from "../kernel/index.ts";
import { resolveHome } from "../home/index.ts";
import type { Io } from "./io.ts";
import { connectOwner, type OwnerClient, parseAnswer } from "./owner-client.ts";
import { findPassphrase } from "./passphrase.ts";
import { createStyle, safeJson, type Style } from "./render/index.ts";
import { findToken, tokenHeaders } from "./token.ts";

export interface GlobalOptions {
  readonly home?: string;
  readonly json?: boolean;
  readonly passphraseFile?: string;
  readonly tokenFile?: string;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly agent?: string | undefined;
  /** Steps of a call that streams them. */
  readonly onStep?: (step: { name: string; index: number; of: number }) => void;
}

/** One run of a command: the global options, the owner's API, and the two ways to answer. */
export interface Session {
  readonly io: Io;
  readonly json: boolean;
  readonly style: Style;
  readonly home: string;
  readonly passphraseFile: string | undefined;
  owner(): Promise<OwnerClient>;
  /** Headers with the token that this run comes with, if it does. @throws {SallyportError} `usage` for a file that cannot be read. */
  credentials(): Readonly<Record<string, string>>;
  /**
   * One request to the owner, which is started when there is none. Asks for the passphrase when the verb needs it.
   * @returns the whole answer (`{success: true, …}`).
   * @throws {SallyportError} what the owner answered.
   */
  call(method: string, path: string, options?: CallOptions): Promise<Record<string, unknown>>;
  /** `call`, and its `result` parsed. */
  get<T extends z.ZodType>(schema: T, method: string, path: string, options?: CallOptions): Promise<z.infer<T>>;
  /** Lines of an answer that streams. */
  lines(path: string, signal?: AbortSignal): AsyncIterable<string>;
  /** The answer: one JSON document with `--json`, else the text. */
  print(json: unknown, text: string | (() => string)): void;
  /** A remark for people; nothing with `--json`. */
  remark(text: string): void;
}

export function createSession(io: Io, options: GlobalOptions): Session {
  const home = resolveHome(options.home, io.env);
  const json = options.json === true;
  let connection: Promise<OwnerClient> | undefined;
  let passphrase: string | undefined;
  let token: string | undefined;
  let tokenRead = false;
  const credentials = (): Readonly<Record<string, string>> => {
    if (!tokenRead) token = findToken(io, options.tokenFile);
    tokenRead = true;
    return tokenHeaders(token);
  };
  const owner = (): Promise<OwnerClient> => (connection ??= connectOwner(home, io.env));

  async function send(method: string, path: string, call: CallOptions): Promise<Record<string, unknown>> {
    const request = {
      body: call.body,
      headers: {
        ...credentials(),
        ...(call.agent !== undefined && { "x-sallyport-agent": call.agent }),
        // A header holds bytes; the passphrase may be any text.
        ...(passphrase !== undefined && { "x-sallyport-passphrase": encodeURIComponent(passphrase) }),
      },
    };
    const client = await owner();
    if (!call.onStep) return answerOf((await client.request(method, path, request)).json);
    for await (const line of client.lines(method, path, request)) {
      const parsed = parseAnswer(line);
      if (!isRecord(parsed)) break;
      if (isStep(parsed["step"])) call.onStep(parsed["step"]);
      else return answerOf("answer" in parsed ? parsed["answer"] : parsed);
    }
    throw badAnswer();
  }

  const session: Session = {
    io,
    json,
    style: createStyle(io.stdout, io.env),
    home,
    passphraseFile: options.passphraseFile,
    owner,
    credentials,
    async call(method, path, call = {}) {
      try {
        return await send(method, path, call);
      } catch (error) {
        const asked =
          error instanceof SallyportError && error.code === "passphrase_required" && passphrase === undefined;
        if (!asked) throw error;
        passphrase = await findPassphrase(io, options.passphraseFile, "Operator's passphrase");
        if (passphrase === undefined) throw error;
        try {
          return await send(method, path, call);
        } catch (again) {
          // A wrong one is asked for again the next time.
          if (again instanceof SallyportError && again.code === "passphrase_required") passphrase = undefined;
          throw again;
        }
      }
    },
    async get(schema, method, path, call) {
      const parsed = schema.safeParse((await session.call(method, path, call))["result"]);
      if (!parsed.success) throw badAnswer(parsed.error);
      return parsed.data;
    },
    async *lines(path, signal) {
      for await (const line of (await owner()).lines("GET", path, { headers: credentials(), signal })) {
        if (line.startsWith('{"success":false')) answerOf(parseAnswer(line));
        yield line;
      }
    },
    print(value, text) {
      io.stdout.write(json ? `${safeJson(value, 2)}\n` : typeof text === "string" ? text : text());
    },
    remark(text) {
      if (!json) io.stderr.write(text);
    },
  };
  return session;
}

/** @throws {SallyportError} the failure that the answer tells. */
export function answerOf(json: unknown): Record<string, unknown> {
  if (isRecord(json) && json["success"] === true) return json;
  const failure = failureAnswer.safeParse(json);
  if (!failure.success) throw badAnswer(failure.error);
  const { code, error, detail, fix, data, approval } = failure.data;
  throw new SallyportError(isErrorCode(code) ? code : "internal", error, {
    ...(detail !== undefined && { detail }),
    ...(fix !== undefined && { fix }),
    data: { ...data, ...(approval && { approval }) },
  });
}

function badAnswer(cause?: unknown): SallyportError {
  return new SallyportError(
    "internal",
    "The owner of the home answered in a way that this command does not understand.",
    {
      detail: "They may be of different versions.",
      fix: "Stop the owner and run the command again.",
      cause,
    },
  );
}

function isStep(value: unknown): value is { name: string; index: number; of: number } {
  return (
    isRecord(value) &&
    typeof value["name"] === "string" &&
    typeof value["index"] === "number" &&
    typeof value["of"] === "number"
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
