/** How a credential of a well-known service looks. Each is found by what its issuer puts in front, so that a hit is hardly ever chance. */
export interface SecretFormat {
  readonly name: string;
  /** Global. No repetition inside a repetition, and every one bounded: the text is hostile. */
  readonly pattern: RegExp;
  /** False when it is often a harmless example. */
  readonly certain: boolean;
}

export const SECRET_FORMATS: readonly SecretFormat[] = [
  {
    name: "a private key",
    pattern: /-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY-----\s{0,4}[A-Za-z0-9+/=]{16}/g,
    certain: true,
  },
  { name: "an age key", pattern: /\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b/g, certain: true },
  { name: "an AWS access key id", pattern: /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, certain: true },
  { name: "a GitHub token", pattern: /\bgh[opsru]_[A-Za-z0-9]{36,251}\b/g, certain: true },
  { name: "a GitHub token", pattern: /\bgithub_pat_[A-Za-z0-9_]{60,100}\b/g, certain: true },
  { name: "a GitLab token", pattern: /\bglpat-[A-Za-z0-9_-]{20,64}/g, certain: true },
  { name: "a Slack token", pattern: /\bxox[abeoprs]-[A-Za-z0-9-]{20,250}/g, certain: true },
  {
    name: "a Slack webhook",
    pattern: /hooks\.slack\.com\/services\/T[A-Z0-9]{6,14}\/B[A-Z0-9]{6,14}\/[A-Za-z0-9]{20,30}/g,
    certain: true,
  },
  { name: "a Stripe key", pattern: /\b[rs]k_live_[A-Za-z0-9]{20,250}\b/g, certain: true },
  {
    name: "an Anthropic key",
    pattern: /(?<![A-Za-z0-9_-])sk-ant-[a-z0-9]{2,10}-[A-Za-z0-9_-]{60,140}/g,
    certain: true,
  },
  {
    name: "an OpenAI key",
    pattern: /(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,120}T3BlbkFJ[A-Za-z0-9_-]{20,120}/g,
    certain: true,
  },
  { name: "a Google API key", pattern: /\bAIza[0-9A-Za-z_-]{35}\b/g, certain: true },
  { name: "a Google client secret", pattern: /\bGOCSPX-[A-Za-z0-9_-]{28}\b/g, certain: true },
  { name: "an npm token", pattern: /\bnpm_[A-Za-z0-9]{36}\b/g, certain: true },
  { name: "a PyPI token", pattern: /\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,250}/g, certain: true },
  { name: "a SendGrid key", pattern: /\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b/g, certain: true },
  { name: "a Hugging Face token", pattern: /\bhf_[A-Za-z0-9]{34}\b/g, certain: true },
  { name: "a DigitalOcean token", pattern: /\bdo[opr]_v1_[a-f0-9]{64}\b/g, certain: true },
  { name: "a Telegram bot token", pattern: /\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b/g, certain: true },
  { name: "an Azure storage key", pattern: /AccountKey=[A-Za-z0-9+/]{86}==/g, certain: true },
  {
    name: "a signed token (JWT)",
    pattern: /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{20,700}/g,
    certain: false,
  },
  {
    name: "a password in a URL",
    pattern: /\b[a-z][a-z0-9+]{1,12}:\/\/[^\s/:@"'`<>${}]{1,64}:[^\s/:@"'`<>${}]{6,100}@[A-Za-z0-9.-]{3,100}/g,
    certain: false,
  },
  {
    name: "something that is called a secret",
    pattern:
      /(?:api_?key|secret|token|passw(?:or)?d|credential)s?["']?\s{0,4}[:=]\s{0,4}["'`]([^\s"'`]{16,200})["'`]/gi,
    certain: false,
  },
];

const EXAMPLE = /example|sample|placeholder|dummy|your|changeme|replace|xxxx|0000|1234|\.\.\.|[<>{}$]/i;
const RANDOM_BITS = 3.5;

/** Whether a value is a secret rather than an example or a name: certain formats by their form, others by how random they look. */
export function isSecret(value: string, format: SecretFormat): boolean {
  if (value.endsWith("EXAMPLE")) return false;
  return format.certain || (!EXAMPLE.test(value) && /\d/.test(value) && entropyOf(value) >= RANDOM_BITS);
}

/** Shannon entropy in bits a character. */
function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1);
  return [...counts.values()].reduce((bits, count) => bits - (count / text.length) * Math.log2(count / text.length), 0);
}
