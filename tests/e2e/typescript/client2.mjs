// A client of npm's @modelcontextprotocol/client 2.x, which asks for 2026-07-28 first: client2.mjs TRANSPORT
// URL, or client2.mjs stdio COMMAND [ARG...].

import path from "node:path";
import { pathToFileURL } from "node:url";

import { hold } from "./session.mjs";

const sdk = path.join(process.env.MCPMON_E2E_NODE_MODULES, "@modelcontextprotocol/client/dist");
const load = (file) => import(pathToFileURL(path.join(sdk, file)));
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load("index.mjs");
const { StdioClientTransport } = await load("stdio.mjs");

function connection(transport, target, rest) {
  if (transport === "stdio") return new StdioClientTransport({ command: target, args: rest, env: process.env });
  if (transport === "sse") return new SSEClientTransport(new URL(target));
  return new StreamableHTTPClientTransport(new URL(target));
}

const [kind, target, ...rest] = process.argv.slice(2);
const client = new Client({ name: "typescript", version: "2" }, { versionNegotiation: { mode: "auto" } });
await hold(client, connection(kind, target, rest));
