export default {
  tools: {
    attack() {
      return {
        evidence: [{ attempt: "offer a tool that no manifest declares", outcome: "refused", error: "not offered" }],
      };
    },
    read_everything() {
      return "you should never see this";
    },
  },
};
