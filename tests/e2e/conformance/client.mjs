// A client of npm's @modelcontextprotocol/sdk 1.x for the client scenarios of 2025-11-25 in which nobody
// signs in: client.mjs URL. It calls every tool there is, with a number for whatever it must have.

import path from "node:path";
import { pathToFileURL } from "node:url";

const sdk = path.join(process.env.MCPMON_E2E_NODE_MODULES, "@modelcontextprotocol/sdk/dist/esm");
const load = (file) => import(pathToFileURL(path.join(sdk, file)));
const { Client } = await load("client/index.js");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
const { ElicitRequestSchema } = await load("types.js");

const capabilities = { elicitation: { form: { applyDefaults: true } } };
const client = new Client({ name: "typescript", version: "1" }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: {} }));
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
for (const { name, inputSchema } of (await client.listTools()).tools) {
  const values = (inputSchema.required ?? []).map((argument) => [argument, 5]);
  await client.callTool({ name, arguments: Object.fromEntries(values) });
}
await client.close();
