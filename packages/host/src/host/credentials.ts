import { isSecret, SECRET_FORMATS, type SecretFormat } from "../vet/index.ts";

/** Finds credentials of well-known services in text by how they look, whoever they belong to. */
export interface Credentials {
  /** The text without them; the same string when there is none. `found` is told what each was. */
  readonly mask: (text: string, found?: (what: string) => void) => string;
  /** The same in a JSON value, keys too; the same reference when there is none. */
  readonly maskJson: (value: unknown, found?: (what: string) => void) => unknown;
  /** Whether there may be one. False is certain; cheap enough for every answer. */
  readonly mayHold: (text: string) => boolean;
}

/**
 * What every credential that is looked for has in it. One look decides for almost all text; a test shows for each format that
 * nothing is missed by it.
 */
const SIGN =
  /-----BEGIN|AGE-SECRET-KEY-1|A(?:KIA|SIA)[0-9A-Z]|A(?:CCESS|ccess)_?[Kk]|access_?[Kk]|AIza|AccountKey=|gh[opsru]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|[sS][lL][aA][cC][kK]\.[cC]|[rs]k_live_|sk-ant-|T3BlbkFJ|GOCSPX-|npm_|pypi-AgEI|SG\.|hf_[A-Za-z0-9]|do[opr]_v1_|:AA|lin_api_|ops_ey|shp(?:pa|ca|at|ss)_|eyJ[\w-]{10}|:\/\/[^/\s]{3,513}@/;

/** What the library's rules find, in our words. */
const LIBRARY: Readonly<Record<string, string>> = {
  "1password": "a 1Password token",
  anthropic: "an Anthropic key",
  basicauth: "a password in a URL",
  "database-connection-string": "a database password",
  github: "a GitHub token",
  linear: "a Linear key",
  npm: "an npm token",
  privatekey: "a private key",
  shopify: "a Shopify token",
  slack: "a Slack token",
};
/**
 * Not used: a rule for files; the rule that lets a comment in the text turn the others off; one that reports another place than
 * where the credential is; and two whose patterns can be made to take 0.2 s for a megabyte. The last three formats are among ours.
 */
const UNUSED: readonly string[] = ["gcp", "filter-comments", "aws", "sendgrid", "openai"];
const PREFIX = "@secretlint/secretlint-rule-";
const AWS_SECRET: SecretFormat = {
  name: "an AWS secret key",
  pattern:
    /(?<=(?:SECRET|secret|Secret)_?(?:ACCESS|access|Access)_?(?:KEY|key|Key)["']?\s{0,4}(?::|=>|=)\s{0,4}["']?)[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])/g,
  certain: true,
};
/** Also where the lines of a key are joined by `\n` in two characters, as in JSON. */
const PRIVATE_KEY: SecretFormat = {
  name: "a private key",
  pattern: /-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]){0,4}[A-Za-z0-9+/=]{16}/g,
  certain: true,
};
/** Formats that say little by themselves, or that a rule of the library has, or that stand above. */
const NOT_OURS: readonly string[] = ["something that is called a secret", "a password in a URL", PRIVATE_KEY.name];
/** A key of an object is looked at together with its value, as in `aws_secret_access_key=…`. */
const KEY_CHARS = 100;

interface Hit {
  readonly start: number;
  readonly end: number;
  readonly what: string;
}

/** Names of the library's rules: all must be known here, so that a new version cannot bring one that is not. */
export async function openCredentials(): Promise<Credentials & { readonly rules: readonly string[] }> {
  const { rules } = await import("@secretlint/secretlint-rule-preset-recommend");
  const names = rules.map(({ meta }) => meta.id.replace(PREFIX, ""));
  const used = rules.filter(({ meta }) => !UNUSED.includes(meta.id.replace(PREFIX, "")));
  const formats = [...SECRET_FORMATS.filter(({ name }) => !NOT_OURS.includes(name)), AWS_SECRET, PRIVATE_KEY];
  let hits: Hit[] = [];
  const handlers = used.map((rule) => {
    const what = LIBRARY[rule.meta.id.replace(PREFIX, "")] ?? "a credential";
    const context = {
      sharedOptions: {},
      createTranslator: () => () => ({ message: "", messageId: "", data: undefined }),
      report: ({ range: [start, end] }: { readonly range: readonly [number, number] }) =>
        void hits.push({ start, end, what }),
      ignore: () => undefined,
    };
    return rule.create(context, {});
  });

  const find = (text: string): readonly Hit[] => {
    hits = [];
    const source = sourceOf(text);
    // Those that are used are synchronous: they have reported when they return.
    for (const handler of handlers) void handler.file?.(source);
    for (const format of formats) {
      for (const match of text.matchAll(format.pattern)) {
        if (!isSecret(match[0], format)) continue;
        const start = match.index;
        hits.push({ start, end: endOf(text, start + match[0].length, format.name), what: format.name });
      }
    }
    return hits.toSorted((a, b) => a.start - b.start || b.end - a.end);
  };

  /** @param from where the text begins that may be changed; what stands before is context. */
  const maskFrom = (text: string, from: number, found?: (what: string) => void): string => {
    let out = "";
    let copied = from;
    for (const { start, end, what } of find(text)) {
      if (end <= copied) continue;
      out += `${text.slice(copied, Math.max(start, copied))}${markOf(what)}`;
      copied = end;
      found?.(what);
    }
    return out === "" ? text.slice(from) : out + text.slice(copied);
  };
  const mask = (text: string, found?: (what: string) => void): string =>
    SIGN.test(text) ? maskFrom(text, 0, found) : text;

  const walk = (value: unknown, found?: (what: string) => void): unknown => {
    if (typeof value === "string") return mask(value, found);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      const items = value.map((item: unknown) => walk(item, found));
      return items.every((item, index) => item === value[index]) ? value : items;
    }
    let changed = false;
    const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
      const entry: [string, unknown] = [mask(key, found), ofKey(key, member, found)];
      changed ||= entry[0] !== key || entry[1] !== member;
      return entry;
    });
    return changed ? Object.fromEntries(entries) : value;
  };
  const ofKey = (key: string, member: unknown, found?: (what: string) => void): unknown => {
    if (typeof member !== "string" || key.length > KEY_CHARS) return walk(member, found);
    const text = `${key}=${member}`;
    return SIGN.test(text) ? maskFrom(text, key.length + 1, found) : member;
  };

  return { mask, maskJson: walk, mayHold: (text) => SIGN.test(text), rules: names };
}

/** Of a private key the format is its first line; all lines that follow are the key. */
const KEY_LINES =
  /(?:[A-Za-z0-9+/=]{16,}(?:\s|\\[nr])*)*[A-Za-z0-9+/=]{0,15}(?:\s|\\[nr])*(?:-----END [A-Z ]{0,40}-----)?/y;

function endOf(text: string, end: number, name: string): number {
  if (name !== PRIVATE_KEY.name) return end;
  KEY_LINES.lastIndex = end;
  return end + (KEY_LINES.exec(text)?.[0].length ?? 0);
}

function markOf(what: string): string {
  return `[removed: ${what}]`;
}

/** Text without a file: rules that go by a file's name or read it do nothing. */
function sourceOf(content: string) {
  const nowhere = { line: 0, column: 0 };
  return {
    hasBOM: false,
    content,
    filePath: "/output.txt",
    physicalFilePath: undefined,
    contentType: "text" as const,
    ext: ".txt",
    getFilePath: () => undefined,
    getPhysicalFilePath: () => undefined,
    locationToRange: (): [number, number] => [0, 0],
    rangeToLocation: () => ({ start: nowhere, end: nowhere }),
    positionToIndex: () => 0,
    indexToPosition: () => nowhere,
  };
}
