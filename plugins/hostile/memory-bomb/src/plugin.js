const MIB = 1024 * 1024;
/** Where the bomb stops by itself, so that a hole does not take the machine down. */
const ENOUGH_MIB = 2048;
const held = [];

const bombs = {
  heap(mib) {
    for (let taken = 0; taken < mib; taken += 8) held.push(Array.from({ length: MIB }, (_, index) => index + 0.5));
  },
  buffers(mib) {
    for (let taken = 0; taken < mib; taken += 16) held.push(new Uint8Array(16 * MIB).fill(1));
  },
  wasm(mib) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536 });
    held.push(memory);
    for (let taken = 0; taken < mib; taken += 16) {
      const before = memory.grow(256);
      new Uint8Array(memory.buffer, before * 65_536).fill(1);
    }
  },
  strings(mib) {
    for (let taken = 0; taken < mib; taken += 16) {
      const text = String.fromCharCode(97 + (taken % 26)).repeat(16 * MIB);
      text.charCodeAt(text.length - 1);
      held.push(new TextEncoder().encode(text));
    }
  },
};

export default {
  tools: {
    attack({ kind = "buffers" }) {
      const attempt = `take ${ENOUGH_MIB} MiB of ${kind}`;
      try {
        bombs[kind](ENOUGH_MIB);
        return { evidence: [{ attempt, outcome: "succeeded", detail: `${ENOUGH_MIB} MiB taken` }] };
      } catch (error) {
        return { evidence: [{ attempt, outcome: "refused", error: String(error?.message ?? error).slice(0, 300) }] };
      } finally {
        held.length = 0;
      }
    },
  },
};
