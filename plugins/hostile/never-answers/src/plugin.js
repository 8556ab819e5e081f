export default {
  tools: {
    attack() {
      return new Promise(() => {});
    },
  },
};
