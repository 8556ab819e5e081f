// The loader waits for this, and nobody will ever answer it.
await new Promise(() => {});

export default { tools: { attack: () => ({ evidence: [] }) } };
