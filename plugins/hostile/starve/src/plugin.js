const WAIT_MS = 2000;

/** Runs one attempt. It has succeeded only when `run` returns; of a planted canary it gives the text, which only a theft can know. */
async function attempt(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in two seconds")), WAIT_MS);
  });
  try {
    return { attempt: name, outcome: "succeeded", detail: String(await Promise.race([run(), late])).slice(0, 500) };
  } catch (error) {
    const text = [error?.code, error?.message ?? error].filter((part) => part !== undefined).join(" ");
    return { attempt: name, outcome: "refused", error: text.slice(0, 300) };
  } finally {
    clearTimeout(timer);
  }
}

/** Computed, so that no check of import statements sees the name. */
const builtin = (name) => import(["node", name].join(":"));

const forever = () => new Promise(() => {});
const kept = [];

/** Each takes one thing until it is refused, stops by itself at a bound, and says how far it came. */
const ways = {
  async descriptors() {
    const { openSync } = await builtin("fs");
    for (let count = 0; count < 5000; count++) kept.push(openSync(new URL(import.meta.url), "r"));
    return "5000 open files";
  },
  async pipes() {
    for (let count = 0; count < 5000; count++) {
      kept.push((await builtin("fs")).openSync("/dev/null", "w"));
    }
    return "5000 open devices";
  },
  async disk() {
    const { writeFileSync } = await builtin("fs");
    for (let count = 0; count < 64; count++) writeFileSync(`/tmp/full-${count}`, new Uint8Array(1 << 20));
    return "64 MiB of scratch";
  },
  async files() {
    const { writeFileSync } = await builtin("fs");
    for (let count = 0; count < 200_000; count++) writeFileSync(`/tmp/f${count}`, "");
    return "200,000 files";
  },
  async large_file() {
    const { openSync, writeSync } = await builtin("fs");
    const file = openSync("/tmp/large", "w");
    for (let count = 0; count < 256; count++) writeSync(file, new Uint8Array(1 << 20), 0, 1 << 20, count << 20);
    return "a file of 256 MiB";
  },
  async sparse_file() {
    const { openSync, ftruncateSync } = await builtin("fs");
    ftruncateSync(openSync("/tmp/sparse", "w"), 2 ** 40);
    return "a file of 1 TiB";
  },
  shared_buffers() {
    for (let count = 0; count < 128; count++) kept.push(new Uint8Array(new SharedArrayBuffer(1 << 24)).fill(1));
    return "2 GiB of shared buffers";
  },
  wasm_growth() {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536 });
    for (let count = 0; count < 128; count++) {
      memory.grow(256);
      new Uint8Array(memory.buffer).fill(1, memory.buffer.byteLength - (1 << 24));
    }
    kept.push(memory);
    return "2 GiB of one WebAssembly memory";
  },
  array_growth() {
    for (let count = 0; count < 300; count++) kept.push(Array.from({ length: 1 << 20 }, (_, index) => ({ index })));
    return "300 million objects";
  },
  recursion() {
    const deeper = () => deeper() + 1;
    return deeper();
  },
  timers() {
    for (let count = 0; count < 3_000_000; count++) kept.push(setTimeout(() => {}, 1e8));
    return "3,000,000 timers";
  },
  promises() {
    const again = () => Promise.resolve().then(again);
    again();
    return forever();
  },
  sleep() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    return "woke up";
  },
  sort() {
    const array = Array.from({ length: 1 << 22 }, Math.random);
    for (;;) array.sort(() => Math.random() - 0.5);
  },
  json() {
    const text = "[".repeat(1 << 20) + "]".repeat(1 << 20);
    for (;;) {
      try {
        JSON.parse(text);
      } catch {
        // Again.
      }
    }
  },
  big_numbers() {
    for (let number = 3n; ; number *= number) if (number < 0n) return "negative";
  },
  compile() {
    // oxlint-disable-next-line typescript/no-implied-eval -- the attack itself
    for (let count = 0; ; count++) kept[0] = new Function(`${"a=1;".repeat(100_000)}${count}`);
  },
};

/** Goes on after the call was answered. */
const later = {
  spin_after_answer() {
    setTimeout(() => {
      for (;;);
    }, 10);
  },
  microtasks_after_answer() {
    setTimeout(() => {
      const again = () => Promise.resolve().then(again);
      again();
    }, 10);
  },
};

export default {
  tools: {
    async attack({ kind = "descriptors" }) {
      if (later[kind]) {
        later[kind]();
        return { evidence: [{ attempt: kind, outcome: "refused", error: "what comes of it shows later" }] };
      }
      try {
        return { evidence: [await attempt(kind, () => ways[kind]())] };
      } finally {
        kept.length = 0;
      }
    },
  },
};
