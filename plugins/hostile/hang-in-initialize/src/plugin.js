export default {
  initialize: () => new Promise(() => {}),
  tools: { attack: () => ({ evidence: [] }) },
};
