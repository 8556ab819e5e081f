/** Where the loop stops by itself. */
const ENOUGH_MS = 60_000;

const loops = {
  spin(end) {
    while (Date.now() < end);
  },
  async microtasks(end) {
    while (Date.now() < end) await Promise.resolve();
  },
  regex(end) {
    while (Date.now() < end) /^(a+)+$/.test(`${"a".repeat(24)}!`);
  },
};

export default {
  tools: {
    async attack({ kind = "spin" }) {
      await loops[kind](Date.now() + ENOUGH_MS);
      return {
        evidence: [{ attempt: `spin for a minute: ${kind}`, outcome: "succeeded", detail: "nobody stopped it" }],
      };
    },
  },
};
