import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { openCredentials } from "../../src/host/credentials.ts";
import { SECRET_FORMATS } from "../../src/vet/index.ts";

let credentials: Awaited<ReturnType<typeof openCredentials>>;
beforeAll(async () => {
  credentials = await openCredentials();
});

const letters = (length: number, of = "aB3dE7gH"): string => of.repeat(Math.ceil(length / of.length)).slice(0, length);
const KEY_BODY = `MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ${letters(150)}`;

/* Put together at run time: no scanner should take this file for a leak. */
const EXAMPLES: Readonly<Record<string, string>> = {
  "a GitHub token": ["ghp", letters(36)].join("_"),
  "an npm token": ["npm", letters(36)].join("_"),
  "a Slack token": ["xoxb", letters(12, "1234567890"), letters(12, "0987654321"), letters(24)].join("-"),
  "an Anthropic key": ["sk-ant-api03", `${letters(93)}AA`].join("-"),
  "an OpenAI key": ["sk", `${letters(20)}T3BlbkFJ${letters(20)}`].join("-"),
  "a SendGrid key": ["SG", letters(22), letters(43)].join("."),
  "a Linear key": ["lin_api", letters(40)].join("_"),
  "a Shopify token": ["shpat", letters(32, "a1b2c3d4")].join("_"),
  "a password in a URL": ["https://deploy", `${letters(14)}@git.acme.dev`].join(":"),
  "a database password": ["postgres://app", `${letters(14)}@db.acme.dev:5432/main`].join(":"),
  "an AWS access key id": ["AKIA", letters(16, "Q7RT2XY9")].join(""),
  "a Google API key": ["AIza", letters(35)].join(""),
  "a private key": ["-----BEGIN PRIVATE KEY-----\n", KEY_BODY, "\n-----END PRIVATE KEY-----"].join(""),
};

describe("credentials in text", () => {
  it.each(Object.entries(EXAMPLES))("takes out %s, and leaves what stands around it", (what, example) => {
    const found: string[] = [];
    expect(credentials.mask(`before ${example} after`, (each) => found.push(each))).toBe(
      `before [removed: ${what}] after`,
    );
    expect(found).toEqual([what]);
  });

  it("takes out a private key whose end is missing, or whose lines are escaped", () => {
    const lines = KEY_BODY.match(/.{1,64}/g) ?? [];
    const whole = ["-----BEGIN RSA PRIVATE KEY-----", ...lines].join("\n");
    expect(credentials.mask(`${whole}\n`)).toBe("[removed: a private key]");
    expect(credentials.mask(whole.replaceAll("\n", "\\n"))).toBe("[removed: a private key]");
  });

  it("looks at a value together with its key, and at keys", () => {
    const secret = letters(40);
    const value = { aws: { aws_secret_access_key: secret, region: "eu-1" }, list: [EXAMPLES["an npm token"]] };
    expect(credentials.maskJson(value)).toEqual({
      aws: { aws_secret_access_key: "[removed: an AWS secret key]", region: "eu-1" },
      list: ["[removed: an npm token]"],
    });
    const key = EXAMPLES["a GitHub token"] ?? "";
    expect(credentials.maskJson({ [key]: 1 })).toEqual({ "[removed: a GitHub token]": 1 });
    const clean = { a: [1, "x", null], "access-key": { b: true } };
    expect(credentials.maskJson(clean)).toBe(clean);
  });

  it("takes no orders from the text", () => {
    const token = EXAMPLES["a GitHub token"] ?? "";
    for (const order of ["// secretlint-disable", "secretlint-disable-line", "/* secretlint-disable */"])
      expect(credentials.mask(`${order}\n${token} ${order}`)).not.toContain(token);
  });

  it("leaves ordinary text, addresses and examples alone", () => {
    const text = [
      "https://example.com:8080/path@v2 and mailto:someone@example.com",
      "AKIAIOSFODNN7EXAMPLE is the example of the manual",
      "a hash 3f786850e387550fdab836ed7e6dc881de23001b, an id 01HZX3K9M4Q8",
      "npm_config_registry=https://registry.npmjs.org/ SG. hf_ eyJhbGciOi",
    ].join("\n");
    expect(credentials.mask(text)).toBe(text);
  });

  it("knows every rule of the library, so that a new one is not used unseen", () => {
    expect(credentials.rules.toSorted()).toEqual([
      "1password",
      "anthropic",
      "aws",
      "basicauth",
      "database-connection-string",
      "filter-comments",
      "gcp",
      "github",
      "linear",
      "npm",
      "openai",
      "privatekey",
      "sendgrid",
      "shopify",
      "slack",
    ]);
  });
});

describe("the first look", () => {
  const word = fc.string({ maxLength: 12 });
  /** Patterns of the library's rules that are used, as they are in version 11.7.1; ours come with them. */
  const LIBRARY = [
    /["']?(?:AWS|aws|Aws)?_?(?:SECRET|secret|Secret)_?(?:ACCESS|access|Access)_?(?:KEY|key|Key)["']?\s{0,3}(?::|=>|=)\s{0,3}["']?[A-Za-z0-9/+=]{40}["']?/,
    /npm_[A-Za-z0-9_]{36}/,
    /(?:xoxb|xoxp|xapp|xoxa|xoxo|xoxr)-(?:\d-)?(?:[a-zA-Z0-9]{1,40}-){1,3}[a-zA-Z0-9]{1,40}/,
    /https:\/\/hooks\.slack\.com\/services\/T[a-zA-Z0-9]{1,40}\/B[a-zA-Z0-9]{1,40}\/[a-zA-Z0-9]{1,40}/,
    /(?:https?|ftp|ftps):\/\/[-a-zA-Z0-9_]{1,256}:[-a-zA-Z0-9_]{1,256}@[-a-zA-Z0-9%._+~#=]{1,20}\.[a-zA-Z0-9()]{1,6}/,
    /sk-ant-api0\d-[A-Za-z0-9_-]{90,128}AA/,
    /lin_api_[a-zA-Z0-9_]{32,128}/,
    /-----BEGIN[ ]?(?:(?:RSA|DSA|EC|OPENSSH|PGP) )?PRIVATE KEY(?: BLOCK)?-----/,
    /(?:shppa|shpca|shpat|shpss)_[a-zA-Z0-9]{32,64}/,
    /(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9_]{36}/,
    /github_pat_[A-Za-z0-9_]{82}/,
    /ops_ey[A-Za-z0-9+/=]{100,128}fQ={0,2}/,
    /(?:mongodb(?:\+srv)?|mysqlx?|postgres(?:ql)?):\/\/[a-z%.,$"']{1,100}:[a-z%.:"'$]{1,200}@[a-z.]{1,30}/,
  ];
  const generated = (pattern: RegExp): fc.Arbitrary<string> => fc.stringMatching(new RegExp(pattern.source, "u"));

  it.each(LIBRARY.map((pattern) => [pattern.source.slice(0, 40), pattern] as const))(
    "passes nothing by that the library might find: %s",
    (_name, pattern) => {
      fc.assert(
        fc.property(word, generated(pattern), word, (before, credential, after) => {
          expect(credentials.mayHold(JSON.stringify(`${before} ${credential} ${after}`))).toBe(true);
        }),
        { numRuns: 40 },
      );
    },
  );

  it("passes nothing by that one of our own formats finds", () => {
    for (const example of Object.values(EXAMPLES)) expect(credentials.mayHold(JSON.stringify(example))).toBe(true);
    const own = SECRET_FORMATS.filter(({ name }) => !/called a secret|in a URL/.test(name));
    // A look-behind or a border cannot be generated, and says nothing about what is inside.
    const inner = own.map(({ name, pattern }) => [name, pattern.source.replace(/\\b|\(\?<![^)]*\)/g, "")] as const);
    for (const [name, source] of inner) {
      fc.assert(
        fc.property(fc.stringMatching(new RegExp(`^${source}$`)), (credential) => {
          expect(credentials.mayHold(JSON.stringify(credential)), name).toBe(true);
        }),
        { numRuns: 15 },
      );
    }
  });
});
