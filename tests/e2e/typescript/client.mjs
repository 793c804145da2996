// A client of npm's @modelcontextprotocol/sdk 1.x: client.mjs TRANSPORT URL, or client.mjs stdio COMMAND
// [ARG...]. Reads calls as JSON, [[tool, arguments], ...], and writes what it got for each.

import path from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const sdk = path.join(process.env.MCPMON_E2E_NODE_MODULES, "@modelcontextprotocol/sdk/dist/esm/client");
const load = (file) => import(pathToFileURL(path.join(sdk, file)));
const { Client } = await load("index.js");

async function connection(transport, target, rest) {
  if (transport === "stdio") {
    const { StdioClientTransport } = await load("stdio.js");
    return new StdioClientTransport({ command: target, args: rest, env: process.env });
  }
  if (transport === "sse") {
    const { SSEClientTransport } = await load("sse.js");
    return new SSEClientTransport(new URL(target));
  }
  const { StreamableHTTPClientTransport } = await load("streamableHttp.js");
  return new StreamableHTTPClientTransport(new URL(target));
}

async function ask(client, name, args) {
  try {
    const result = await client.callTool({ name, arguments: args });
    return [result.isError ? "error" : "success", result.content];
  } catch (error) {
    return ["error", error.message];
  }
}

const [kind, target, ...rest] = process.argv.slice(2);
const client = new Client({ name: "typescript", version: "1" });
const transport = await connection(kind, target, rest);
await client.connect(transport);
const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
const answers = [];
for (const [name, args] of JSON.parse(await text(process.stdin))) {
  answers.push(await ask(client, name, args));
}
if (kind === "http") await transport.terminateSession();
await client.close();
console.log(JSON.stringify([tools, answers]));
