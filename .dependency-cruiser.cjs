/*
 * The one-way rule of docs/architecture.md, checked on the compiled output (type imports vanish there, and a type has no
 * authority). A folder may import the layers below it, and a sibling only through the sibling's index.
 */
const layers = [
  ["kernel"],
  ["manifest", "capability"],
  ["policy", "trust", "isolation", "rpc", "store", "secrets", "audit", "home", "wire"],
  ["catalog", "supervisor", "broker", "approval", "registry", "config", "operators", "authoring", "vet"],
  ["host"],
  ["api", "cli", "mcp"],
];

const at = (names) => `^packages/host/dist/(${names.join("|")})(/|\\.js$)`;

const upward = layers.slice(0, -1).map((names, depth) => ({
  name: `no-import-above-${names[0]}`,
  comment: "Imports run one way, from the faces down to the kernel.",
  severity: "error",
  from: { path: at(names) },
  to: { path: at(layers.slice(depth + 1).flat()) },
}));

/** Node modules with ambient authority, and the folders that may hold it. */
const POWERFUL = "^(node:)?(fs|fs/promises|net|http|https|tls|dgram|child_process|worker_threads)$";
const EDGES = "^packages/host/dist/(store|secrets|registry|isolation|supervisor|broker|cli|home|authoring)(/|\\.js$)";

module.exports = {
  forbidden: [
    ...upward,
    {
      name: "siblings-through-their-index",
      comment: "What a folder offers is named in its index.ts.",
      severity: "error",
      from: { path: "^packages/host/dist/([^/]+)/" },
      to: { path: "^packages/host/dist/([^/]+)/(?!index\\.js$)", pathNot: "^packages/host/dist/$1/" },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "authority-at-the-edges",
      comment: "Files, sockets and processes are touched only at the edges; everything else is passed what it needs.",
      severity: "error",
      from: { path: "^packages/host/dist/", pathNot: EDGES },
      to: { path: POWERFUL },
    },
    {
      name: "sdk-has-no-dependencies",
      severity: "error",
      from: { path: "^packages/sdk/dist/" },
      to: { pathNot: "^packages/sdk/dist/" },
    },
    {
      name: "runtime-code-uses-runtime-dependencies",
      severity: "error",
      from: { path: "^packages/(host|sdk)/dist/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "dist/runner/" },
  },
};
