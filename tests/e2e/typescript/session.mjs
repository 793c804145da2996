// A whole session of a client: reads calls as JSON, [[tool, arguments], ...], and writes what it got for
// each. A third word "task" lets SDK 1.x make the call as a task and follow it to its result.

import { text } from "node:stream/consumers";

async function followed(client, params) {
  for await (const message of client.experimental.tasks.callToolStream(params)) {
    if (message.type === "result") return message.result;
    if (message.type === "error") throw message.error;
  }
}

async function ask(client, name, args, kind) {
  const params = { name, arguments: args };
  try {
    const result = await (kind === "task" ? followed(client, params) : client.callTool(params));
    return [result.isError ? "error" : "success", result.content];
  } catch (error) {
    return ["error", error.message];
  }
}

export async function hold(client, transport) {
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
  const answers = [];
  for (const [name, args, kind] of JSON.parse(await text(process.stdin))) {
    answers.push(await ask(client, name, args, kind));
  }
  // Only Streamable HTTP has it, and only before 2026-07-28 is there a session.
  if (transport.sessionId && transport.terminateSession) await transport.terminateSession();
  await client.close();
  console.log(JSON.stringify([tools, answers]));
}
