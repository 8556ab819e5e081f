/* Every check looks at the text a bounded number of times; none backtracks. */

const MAX_TEXT = 8 * 1024;

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIME = /^(\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:Z|z|[+-](\d{2}):(\d{2}))$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const LOCAL_PART = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$/;
const DURATION =
  /^P(?:\d{1,9}W|(?=[\dT])(?:\d{1,9}Y)?(?:\d{1,9}M)?(?:\d{1,9}D)?(?:T(?=\d)(?:\d{1,9}H)?(?:\d{1,9}M)?(?:\d{1,9}S)?)?)$/;
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function isDate(text: string): boolean {
  const [, year, month, day] = DATE.exec(text) ?? [];
  if (year === undefined || month === undefined || day === undefined) return false;
  const time = new Date(Date.UTC(2000, Number(month) - 1, Number(day)));
  time.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  return time.getUTCMonth() === Number(month) - 1 && time.getUTCDate() === Number(day) && Number(day) > 0;
}

function isTime(text: string): boolean {
  const [, hour, minute, second, offsetHour = "0", offsetMinute = "0"] = TIME.exec(text) ?? [];
  if (hour === undefined) return false;
  return (
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) <= 60 &&
    Number(offsetHour) < 24 &&
    Number(offsetMinute) < 60
  );
}

function isDateTime(text: string): boolean {
  return (
    /^[Tt ]$/.test(text.charAt(10)) && text.charAt(10) !== " " && isDate(text.slice(0, 10)) && isTime(text.slice(11))
  );
}

function isHostname(text: string): boolean {
  return text.length <= 253 && text.length > 0 && text.split(".").every((label) => LABEL.test(label));
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  const local = text.slice(0, at);
  return (
    at > 0 &&
    LOCAL_PART.test(local) &&
    !local.startsWith(".") &&
    !local.endsWith(".") &&
    !local.includes("..") &&
    isHostname(text.slice(at + 1))
  );
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
}

function isIpv6(text: string): boolean {
  return text.length <= 45 && /^[0-9a-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]/`);
}

function isUri(text: string): boolean {
  return (
    /^[a-z][a-z0-9+.-]{0,63}:/i.test(text) &&
    /^[\x21-\x7e]+$/.test(text) &&
    !/[<>"{}|\\^`]/.test(text) &&
    URL.canParse(text)
  );
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && BASE64.test(text);
}

const SHORT_FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: isTime,
  "date-time": isDateTime,
  duration: (text) => DURATION.test(text),
  email: isEmail,
  hostname: isHostname,
  ipv4: isIpv4,
  ipv6: isIpv6,
  uri: isUri,
  url: isUri,
  uuid: (text) => UUID.test(text),
  "json-pointer": (text) => POINTER.test(text),
};

/** Format name → check. Text over 8 KiB is none of them, but for `base64` (`byte`), which is read once. */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  ...Object.fromEntries(
    Object.entries(SHORT_FORMATS).map(([name, check]) => [
      name,
      (text: string) => text.length <= MAX_TEXT && check(text),
    ]),
  ),
  base64: isBase64,
  byte: isBase64,
};
