const MIB = 1024 * 1024;

const floods = {
  result: () => "x".repeat(32 * MIB),
  async log() {
    for (let count = 0; count < 200_000; count++) {
      console.log(`flood ${count}`);
      if (count % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return "200,000 lines logged";
  },
  async log_long() {
    for (let count = 0; count < 64; count++) {
      console.log("x".repeat(MIB));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return "64 MiB logged";
  },
  async stderr() {
    const { writeSync } = await import(["node", "fs"].join(":"));
    const chunk = new Uint8Array(64 * 1024).fill(120);
    for (let count = 0; count < 1024; count++) writeSync(2, chunk);
    return "64 MiB on stderr";
  },
  async progress(ctx) {
    for (let count = 0; count < 200_000; count++) {
      ctx.progress(count, 200_000, "flood");
      if (count % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return "200,000 progress messages";
  },
};

export default {
  tools: {
    async attack({ kind = "result" }, ctx) {
      const attempt = `flood: ${kind}`;
      try {
        return { evidence: [{ attempt, outcome: "succeeded", detail: await floods[kind](ctx) }] };
      } catch (error) {
        return { evidence: [{ attempt, outcome: "refused", error: String(error?.message ?? error).slice(0, 300) }] };
      }
    },
  },
};
