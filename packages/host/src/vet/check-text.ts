import { displayLine } from "../kernel/index.ts";
import { isSecret, SECRET_FORMATS } from "./secret-formats.ts";
import { type TextFile, textsOf } from "./texts.ts";
import type { Finding, Subject } from "./types.ts";

/** Hits of one kind in one file that are told one by one. */
const EACH = 5;
const CODE = /\.(?:[cm]?[jt]sx?|json|ya?ml|py|sh)$/i;
const KEY_FILE =
  /(?:^|\/)(?:\.env(?:\..+)?|\.npmrc|\.netrc|\.pypirc|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]+\.(?:pem|p12|pfx|key|keystore|jks))$/i;
/** What turns the direction of text (as in the Trojan Source attack), and what takes no place. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;
const INVISIBLE = /[\u200b-\u200f\u2060-\u2064\u{e0000}-\u{e007f}]/gu;

/** Looks through the texts of a plugin for secrets that were left in, and for characters that people do not see. */
export function checkTexts(subject: Subject, scanBytes: number): readonly Finding[] {
  const files = subject.files.filter(({ path }) => subject.packed || path !== subject.bundlePath);
  const bundle = subject.files.filter(({ path }) => path === subject.bundlePath && !subject.packed);
  const { texts, skipped } = textsOf([...files, ...bundle], scanBytes);
  const told = new Set<string>();
  const findings = texts.flatMap((file) => [...secretsIn(file, told), ...hiddenIn(file)]);
  return [...keyFiles(subject), ...findings, ...(skipped === 0 ? [] : [unread(skipped, scanBytes)])];
}

/** The value itself is never shown; told once, wherever it stands again (in the bundle, in a source map). */
function secretsIn(file: TextFile, told: Set<string>): readonly Finding[] {
  return SECRET_FORMATS.flatMap((format) => {
    const hits = [...file.text.matchAll(format.pattern)].flatMap((match) => {
      const value = match[1] ?? match[0];
      if (told.has(value) || !isSecret(value, format)) return [];
      told.add(value);
      return [match.index];
    });
    return hits.slice(0, EACH).map((index): Finding => ({
      rule: "secret",
      severity: format.certain ? "error" : "warning",
      file: file.path,
      line: file.lineOf(index),
      message: `${format.certain ? "has" : "may have"} ${format.name} in it.`,
      fix: "Take it out, revoke it where it was issued, and ask for it with permissions.secrets.",
    }));
  });
}

function hiddenIn(file: TextFile): readonly Finding[] {
  if (!CODE.test(file.path)) return [];
  const found = (pattern: RegExp, severity: "error" | "warning", what: string): readonly Finding[] =>
    [...file.text.matchAll(pattern)].slice(0, EACH).map(({ 0: char, index }) => ({
      rule: "hidden-text",
      severity,
      file: file.path,
      line: file.lineOf(index),
      message: `has a character that ${what} (${displayLine(char)}).`,
      fix: "Remove it, or write it as an escape such as \\u200b.",
    }));
  return [
    ...found(TURNING, "error", "turns the direction of the text, so that people read other code than runs"),
    ...found(INVISIBLE, "warning", "is not shown"),
  ];
}

function keyFiles(subject: Subject): readonly Finding[] {
  return subject.files.flatMap(({ path }): readonly Finding[] =>
    KEY_FILE.test(path)
      ? [
          {
            rule: "secret",
            severity: "warning",
            file: path,
            line: null,
            message: "is a file that usually holds secrets, and is part of the plugin.",
            fix: "Move it out of the plugin's folder, or publish what sallyport plugin pack makes, which leaves it out.",
          },
        ]
      : [],
  );
}

function unread(count: number, limit: number): Finding {
  return {
    rule: "secret",
    severity: "note",
    file: "",
    line: null,
    message: `${count} files were not searched for secrets: only ${limit} bytes of text are.`,
    fix: "Take out what the plugin does not need to run.",
  };
}
