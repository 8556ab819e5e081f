/** Plugins of the soak: good ones, and ones that crash, hang, block and flood. Nothing in them reaches beyond the sandbox. */

const tool = (name, effect, timeoutMs) =>
  `    - { name: ${name}, description: "Soak tool.", effect: ${effect}, input_schema: { type: object }, timeout_ms: ${timeoutMs} }`;

const manifest = (id, tools) => `manifest_version: 1
id: ${id}
name: ${id}
version: 1.0.0
description: A plugin of the soak.
license: MIT
entry: plugin.js
contributes:
  tools:
${tools.join("\n")}
permissions: {}
config_schema: { type: object, properties: {} }
limits: { memory_mb: 64, concurrency: 4 }
`;

const plugin = (id, effect, timeoutMs, body) => ({
  id,
  tool: `${id}__work`,
  effect,
  files: {
    "plugin.yml": manifest(id, [tool("work", effect, timeoutMs)]),
    "plugin.js": `export default { tools: { async work(input, ctx) { ${body} return { n: input.n }; } } };`,
  },
});

const pause = (ms) => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;

/** `weight`: how often it is called beside the others. `good`: a call may fail for no other reason than that it waits. `unloaded`: an operator does that. */
export const PLUGINS = [
  { ...plugin("reader", "read", 10_000, ""), weight: 30, good: true },
  { ...plugin("writer", "write", 10_000, `await ctx.kv.set("n", input.n);`), weight: 20, good: true },
  { ...plugin("sleeper", "write", 10_000, pause(20)), weight: 10, good: true, unloaded: true },
  // Called so rarely that it sleeps in between.
  { ...plugin("rare", "read", 10_000, ""), weight: 0.1, good: true },
  { ...plugin("crasher", "write", 5_000, "if (input.n % 20 === 0) Deno.exit(3);"), weight: 4 },
  { ...plugin("hanger", "write", 300, "if (input.n % 5 === 0) await new Promise(() => {});"), weight: 4 },
  { ...plugin("blocker", "read", 300, "if (input.n % 20 === 0) for (;;);"), weight: 2 },
  {
    ...plugin("logger", "read", 5_000, `for (let n = 0; n < 500; n++) console.log("x".repeat(200), input.n, n);`),
    weight: 4,
  },
  {
    ...plugin("flooder", "read", 5_000, "if (input.n % 50 === 0) for (;;) ctx.progress(1); ctx.progress(1);"),
    weight: 2,
  },
  { ...plugin("hoarder", "read", 5_000, `(globalThis.kept ??= []).push(new Uint8Array(4 << 20).fill(1));`), weight: 1 },
  { ...plugin("shouter", "read", 5_000, `return { n: "x".repeat(2 << 20) };`), weight: 1 },
];
