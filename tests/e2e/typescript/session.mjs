// A whole session of a client: reads calls as JSON, [[tool, arguments], ...], and writes what it got for
// each.

import { text } from "node:stream/consumers";

async function ask(client, name, args) {
  try {
    const result = await client.callTool({ name, arguments: args });
    return [result.isError ? "error" : "success", result.content];
  } catch (error) {
    return ["error", error.message];
  }
}

export async function hold(client, transport) {
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
  const answers = [];
  for (const [name, args] of JSON.parse(await text(process.stdin))) {
    answers.push(await ask(client, name, args));
  }
  // Only Streamable HTTP has it, and only before 2026-07-28 is there a session.
  if (transport.sessionId && transport.terminateSession) await transport.terminateSession();
  await client.close();
  console.log(JSON.stringify([tools, answers]));
}
