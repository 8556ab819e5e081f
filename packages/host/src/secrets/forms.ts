/**
 * The spellings in which a secret value turns up in text: raw, percent-encoded (what must be, what may be, and every byte; either
 * case), form-encoded, JSON-escaped (once, and inside JSON that is text of JSON), HTML-escaped, hexadecimal (either case), and
 * base64 (both alphabets, at each of the three alignments inside a longer encoded text); bytes are those of UTF-8 and, where there are such, Latin-1. Longest first, without duplicates.
 * Finding them is hygiene; that only the bound origin receives the value is the wall.
 */
export function secretForms(value: string): readonly string[] {
  const json = jsonText(value);
  const forms = new Set([value, json, escapedSlashes(json), asciiJson(json), jsonText(json), htmlText(value)]);
  for (const percent of percentForms(value)) {
    forms.add(percent);
    forms.add(lowerEscapes(percent));
  }
  for (const bytes of bytesOf(value)) {
    const every = bytes.toString("latin1").replace(/[\s\S]/g, escapeOf);
    forms.add(every);
    forms.add(lowerEscapes(every));
    if (bytes.length < MIN_ENCODED_BYTES) continue;
    const hex = bytes.toString("hex");
    forms.add(hex);
    forms.add(hex.toUpperCase());
    for (let shift = 0; shift < 3; shift++) {
      const inner = base64Inside(bytes, shift);
      forms.add(inner);
      forms.add(escapedSlashes(inner));
      forms.add(inner.replaceAll("+", "-").replaceAll("/", "_"));
    }
  }
  forms.delete("");
  return [...forms].toSorted((a, b) => b.length - a.length);
}

/** Under this size an encoded form is too short to tell from chance. */
const MIN_ENCODED_BYTES = 6;

/** The characters of base64 that depend on nothing but `bytes`, when `shift` bytes stand before them. */
function base64Inside(bytes: Buffer, shift: number): string {
  const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString("base64")
    .replaceAll("=", "");
  const first = Math.ceil((shift * 8) / 6);
  const end = Math.floor(((shift + bytes.length) * 8) / 6);
  return encoded.slice(first, end);
}

/** As UTF-8, and as the one byte a character in which a header carries it. */
function bytesOf(value: string): readonly Buffer[] {
  const utf8 = Buffer.from(value, "utf8");
  return isLatin1(value) && utf8.length !== value.length ? [utf8, Buffer.from(value, "latin1")] : [utf8];
}

/** Whether each character is one byte in Latin-1. */
export function isLatin1(text: string): boolean {
  return !/[^\0-\xff]/.test(text);
}

function percentForms(value: string): readonly string[] {
  const text = value.toWellFormed();
  const component = encodeURIComponent(text);
  const strict = component.replace(/[!'()*]/g, escapeOf);
  return [component, component.replaceAll("%20", "+"), strict, strict.replaceAll("%20", "+"), encodeURI(text)];
}

/** Of one byte, as its Latin-1 character. */
function escapeOf(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

function jsonText(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

function escapedSlashes(text: string): string {
  return text.replaceAll("/", "\\/");
}

function lowerEscapes(text: string): string {
  return text.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase());
}

function asciiJson(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function htmlText(value: string): string {
  return value.replace(/[&<>"']/g, (char) => HTML[char] ?? char);
}
