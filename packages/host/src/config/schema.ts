import { z } from "zod";
import { LIMITS } from "../kernel/index.ts";
import { KEY_SOURCES } from "../secrets/index.ts";
import { policyShape } from "../policy/index.ts";
import { agentsShape } from "./agents.ts";
import { databasesShape } from "./databases.ts";

const requirement = z.enum(["required", "preferred"]);

const identity = z.strictObject({
  plugins: z.array(z.string().min(1).max(130)).min(1).max(100),
  issuer: z.string().min(1).max(300),
  subject: z
    .string()
    .min(1)
    .max(500)
    .refine((text) => !text.includes("*") || /^[^*]+[/@]\*$/.test(text), {
      message: "may hold one *, at its end and behind a / or @, so that it never reaches into a longer name",
    }),
});

const allowed = z.union([
  z.string().min(1).max(100),
  z.strictObject({
    id: z.string().min(1).max(100),
    version: z.string().min(1).max(100).optional(),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional(),
    publisher: z
      .string()
      .regex(/^ed25519:[A-Za-z0-9_-]{43}$/, "is no public key such as `sallyport key list` shows")
      .optional(),
  }),
]);

const absoluteFile = z
  .string()
  .max(1000)
  .regex(/^\/[^\0]*[^/\0]$/, "is not the absolute path of a file");

/** `config.yml`: the operator's file. The host reads it and never writes it. Unknown keys are errors. */
export const configSchema = z.strictObject({
  mode: z.enum(["production", "development"]).default("production"),
  plugins: z
    .strictObject({
      enabled: z.boolean().default(false),
      allowed_plugins: z.array(allowed).max(10_000).default([]),
    })
    .default({ enabled: false, allowed_plugins: [] }),
  isolation: z
    .strictObject({
      minimum: z.enum(["kernel", "runtime"]).default("kernel"),
      driver: z.enum(["auto", "namespace", "landlock"]).default("auto"),
      allow_in_process: z.boolean().default(false),
      per_agent: z.boolean().default(false),
      processes_per_plugin: z.number().int().min(1).max(64).default(8),
      idle_after_s: z.number().min(0).max(86_400).default(300),
      drain_s: z.number().min(0).max(600).default(10),
    })
    .prefault({}),
  programs: z
    .strictObject({
      interpreters: z.strictObject({ python: absoluteFile.optional(), node: absoluteFile.optional() }).default({}),
    })
    .prefault({}),
  network: z
    .strictObject({
      tool_allowed_hosts: z.array(z.string().min(1).max(300)).max(1000).optional(),
    })
    .default({}),
  limits: z
    .strictObject({
      memory_mb: z.number().int().min(16).max(16_384).optional(),
      concurrency: z.number().int().min(1).max(LIMITS.mostConcurrency).optional(),
      tasks: z.number().int().min(32).max(1024).optional(),
      processors: z.number().min(0.1).max(256).optional(),
      timeout_ms: z.number().int().min(100).max(600_000).optional(),
    })
    .default({}),
  trust: z
    .strictObject({
      signatures: z
        .strictObject({
          low: requirement.default("preferred"),
          medium: requirement.default("required"),
          high: requirement.default("required"),
          critical: requirement.default("required"),
        })
        .prefault({}),
      unsigned_directories: z.boolean().default(true),
      minimum_age: z
        .string()
        .regex(/^\d{1,4}[hd]$/, "is no time such as 12h or 3d")
        .default("0h"),
      provenance: z.array(identity).max(1000).default([]),
    })
    .prefault({}),
  hooks: z
    .strictObject({
      timeout_ms: z.number().int().min(50).max(30_000).default(2_000),
      on_failure: z.enum(["deny", "ignore"]).default("deny"),
    })
    .prefault({}),
  agents: agentsShape,
  databases: databasesShape,
  secrets: z.strictObject({ key: z.enum(KEY_SOURCES).optional() }).default({}),
  outputs: z.strictObject({ credentials: z.enum(["mask", "off"]).default("mask") }).prefault({}),
  policy: policyShape,
});

export type ConfigFile = z.infer<typeof configSchema>;
