const KEPT = 100;
const notes = [];

// A plain object is a plugin: one file, no import, nothing to install.
export default {
  tools: {
    echo({ text }) {
      return { text };
    },
    note({ text }) {
      notes.push(text);
      if (notes.length > KEPT) notes.shift();
      return { text, kept: notes.length };
    },
  },
};
