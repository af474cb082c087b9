// The official npm client of the older revisions.
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

import { check, server } from "./checks.mjs";

const client = new Client({ name: "test", version: "1" });
await client.connect(new StdioClientTransport(server));
assert.equal(client.getServerVersion().name, "runabout");
assert.match(client.getInstructions(), /small language model/);
await client.ping();
await check(client, (params, options) => client.callTool(params, undefined, options));
await client.close();
