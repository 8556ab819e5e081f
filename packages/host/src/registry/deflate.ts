/*
 * A small deflate (RFC 1951, fixed codes) in plain arithmetic. zlib's output differs between its versions and processors, and a
 * packed plugin must be the same bytes on every machine, so that a digest of an archive can be compared.
 */

const WINDOW = 32_768;
const LONGEST = 258;
const SHORTEST = 3;
const TRIES = 48;
const HASH_BITS = 15;

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12_289, 16_385, 24_577,
];
const END_OF_BLOCK = 256;

interface Bits {
  /** Lowest bit first, as numbers are written. */
  number(value: number, count: number): void;
  /** Highest bit first, as codes are written. */
  code(value: number, count: number): void;
  finish(): Uint8Array;
}

/** The same input gives the same bytes on any machine. */
export function deflate(input: Uint8Array): Uint8Array {
  const bits = createBits(input.length + (input.length >> 3) + 64);
  bits.number(1, 1); // the last block
  bits.number(1, 2); // of fixed codes
  const matches = createMatches(input);
  let at = 0;
  while (at < input.length) {
    const match = matches.find(at);
    if (match === undefined) {
      writeSymbol(bits, input[at] ?? 0);
      matches.pass(at++);
      continue;
    }
    writeLength(bits, match.length);
    writeDistance(bits, match.distance);
    for (const end = at + match.length; at < end; at++) matches.pass(at);
  }
  writeSymbol(bits, END_OF_BLOCK);
  return bits.finish();
}

interface Match {
  readonly length: number;
  readonly distance: number;
}

/** Finds earlier places with the same bytes, through chains of places whose next three bytes hash alike. */
function createMatches(input: Uint8Array) {
  const heads = new Int32Array(1 << HASH_BITS).fill(-1);
  const before = new Int32Array(WINDOW).fill(-1);
  const byte = (index: number): number => input[index] ?? 0;
  const hashAt = (at: number): number =>
    (Math.imul((byte(at) << 16) | (byte(at + 1) << 8) | byte(at + 2), 0x9e3779b1) >>> (32 - HASH_BITS)) & 0x7fff;

  function lengthAt(place: number, at: number, most: number): number {
    let length = 0;
    while (length < most && byte(place + length) === byte(at + length)) length++;
    return length;
  }

  return {
    pass(at: number): void {
      if (at + SHORTEST > input.length) return;
      const hash = hashAt(at);
      before[at % WINDOW] = heads[hash] ?? -1;
      heads[hash] = at;
    },
    find(at: number): Match | undefined {
      const most = Math.min(LONGEST, input.length - at);
      if (most < SHORTEST) return undefined;
      let best: Match | undefined;
      let place = heads[hashAt(at)] ?? -1;
      for (let tries = TRIES; tries > 0 && place >= 0 && at - place <= WINDOW; tries--) {
        const longer = best === undefined || byte(place + best.length) === byte(at + best.length);
        const length = longer ? lengthAt(place, at, most) : 0;
        if (length >= SHORTEST && length > (best?.length ?? 0)) best = { length, distance: at - place };
        if (best?.length === most) break;
        const next = before[place % WINDOW] ?? -1;
        if (next >= place) break; // overwritten by a later place: the chain ends here
        place = next;
      }
      return best;
    },
  };
}

function writeSymbol(bits: Bits, symbol: number): void {
  if (symbol < 144) bits.code(0x30 + symbol, 8);
  else if (symbol < 256) bits.code(0x190 + symbol - 144, 9);
  else if (symbol < 280) bits.code(symbol - 256, 7);
  else bits.code(0xc0 + symbol - 280, 8);
}

function writeLength(bits: Bits, length: number): void {
  const index = LENGTH_BASE.findLastIndex((base) => base <= length);
  writeSymbol(bits, 257 + index);
  bits.number(length - (LENGTH_BASE[index] ?? 0), LENGTH_EXTRA[index] ?? 0);
}

function writeDistance(bits: Bits, distance: number): void {
  const index = DISTANCE_BASE.findLastIndex((base) => base <= distance);
  bits.code(index, 5);
  bits.number(distance - (DISTANCE_BASE[index] ?? 0), Math.max(0, (index >> 1) - 1));
}

function createBits(bytes: number): Bits {
  const output = new Uint8Array(bytes);
  let length = 0;
  let held = 0;
  let count = 0;
  const bit = (value: number): void => {
    held |= value << count;
    if (++count < 8) return;
    output[length++] = held;
    held = 0;
    count = 0;
  };
  return {
    number(value, width) {
      for (let index = 0; index < width; index++) bit((value >> index) & 1);
    },
    code(value, width) {
      for (let index = width - 1; index >= 0; index--) bit((value >> index) & 1);
    },
    finish() {
      for (let padding = (8 - count) % 8; padding > 0; padding--) bit(0);
      return output.subarray(0, length);
    },
  };
}
