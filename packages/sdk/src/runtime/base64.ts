interface NativeBase64 {
  fromBase64(text: string): Uint8Array<ArrayBuffer>;
}

const native = Uint8Array as unknown as Partial<NativeBase64>;

/** Bytes of base64 text. `atob` is ten times slower on megabytes, so it is only the fallback. */
export const fromBase64: (text: string) => Uint8Array<ArrayBuffer> =
  typeof native.fromBase64 === "function"
    ? native.fromBase64.bind(Uint8Array)
    : (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

export function toBase64(bytes: Uint8Array): string {
  if ("toBase64" in bytes && typeof bytes.toBase64 === "function") return String(bytes.toBase64());
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}
