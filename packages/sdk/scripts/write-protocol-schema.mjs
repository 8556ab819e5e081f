#!/usr/bin/env node
import { writeFile } from "node:fs/promises";
import { protocolSchema } from "../dist/protocol/v1/index.js";

/* After the build: schemas/protocol-v1.schema.json, for tools that do not read TypeScript. A test fails when it is stale. */
const file = new URL("../schemas/protocol-v1.schema.json", import.meta.url);
await writeFile(file, `${JSON.stringify(protocolSchema(), undefined, 2)}\n`);
