// A client of npm's @modelcontextprotocol/sdk 1.x: client.mjs TRANSPORT URL, or client.mjs stdio COMMAND
// [ARG...].

import path from "node:path";
import { pathToFileURL } from "node:url";

import { hold } from "./session.mjs";

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

const [kind, target, ...rest] = process.argv.slice(2);
await hold(new Client({ name: "typescript", version: "1" }), await connection(kind, target, rest));
