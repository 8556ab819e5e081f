import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import {
  HOST_NOTIFICATIONS,
  HOST_REQUESTS,
  NOTIFICATION_SCHEMAS,
  PLUGIN_NOTIFICATIONS,
  PLUGIN_REQUESTS,
  protocolSchema,
  REQUEST_SCHEMAS,
} from "../src/protocol/v1/index.ts";

const published = new URL("../schemas/protocol-v1.schema.json", import.meta.url);
const validate = new Ajv2020({ validateFormats: false }).compile(protocolSchema());

describe("protocol v1", () => {
  it("publishes the schemas that the code has: run npm run docs after a change", async () => {
    expect(JSON.parse(await readFile(published, "utf8"))).toEqual(protocolSchema());
  });

  it("has a schema for every method", () => {
    expect(Object.keys(REQUEST_SCHEMAS).toSorted()).toEqual([...HOST_REQUESTS, ...PLUGIN_REQUESTS].toSorted());
    expect(Object.keys(NOTIFICATION_SCHEMAS).toSorted()).toEqual(
      [...HOST_NOTIFICATIONS, ...PLUGIN_NOTIFICATIONS].toSorted(),
    );
  });

  it.each([
    {
      jsonrpc: "2.0",
      id: 1,
      method: "hello",
      params: { protocols: [1], token: "ab".repeat(32), nonce: "cd".repeat(16) },
    },
    { jsonrpc: "2.0", id: 4, result: { output: null } },
    { jsonrpc: "2.0", method: "cancel", params: { call_id: "call_1", reason: "cancelled" } },
    { jsonrpc: "2.0", id: 3, error: { code: -32000, message: "no", data: { kind: "tool_failed" } } },
    { jsonrpc: "2.0", id: 3, error: { code: -32001, message: "no", data: { code: "permission_denied" } } },
    { jsonrpc: "2.0", id: 3, method: "kv.get", params: { call: null, key: "k" } },
  ])("accepts %j", (message) => expect(validate(message)).toBe(true));

  it.each([
    { jsonrpc: "2.0", id: 1, method: "hello", params: { protocols: [1], token: "ab", nonce: "cd".repeat(16) } },
    { jsonrpc: "2.0", id: 0, method: "ping", params: {} },
    { jsonrpc: "2.0", id: "1", method: "ping", params: {} },
    { jsonrpc: "2.0", id: 1, method: "ping", params: { extra: 1 } },
    { jsonrpc: "2.0", id: 1, method: "exec", params: {} },
    { jsonrpc: "2.0", id: 1, method: "kv.get", params: { key: "k" } },
    { id: 1, result: {} },
    [],
  ])("refuses %j", (message) => expect(validate(message)).toBe(false));
});
