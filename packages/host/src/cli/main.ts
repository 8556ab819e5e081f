#!/usr/bin/env node
import { VERSION } from "../version.ts";
import { run } from "./program.ts";

/* A reader that went away (`| head`) is no failure. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await run(
  process.argv.slice(2),
  { env: process.env, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, now: Date.now },
  VERSION,
);
