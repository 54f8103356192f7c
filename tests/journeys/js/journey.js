// One conversation as a JavaScript client has it: a message, a line that breaks during the answer, an older client beside it.
// Arguments: address, access token, chat, transport. Prints what both heard as JSON.

import { io } from "socket.io-client";

const [address, token, chatId, transport] = process.argv.slice(2);
const CUTS = 3;

async function authorized(path) {
  const answer = await fetch(`${address}${path}?chat_id=${chatId}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function newClient() {
  const heard = [];
  let session = null;
  let last = 0;
  const socket = io(`${address}/chat`, {
    transports: [transport],
    forceNew: true,
    reconnectionDelay: 20,
    auth: async (give) => {
      if (session) return give({ chat_id: chatId, resume_token: session.resume_token, since: last });
      give({ connection_string: (await authorized("/chat/authorize")).connection_string });
    },
  });
  socket.on("session", (fresh) => (session = fresh));
  socket.onAny((kind, data) => {
    heard.push([kind, data]);
    if (data?.seq) last = data.seq;
  });
  return { socket, heard };
}

async function oldClient() {
  const { string } = await authorized("/chat/authorize");
  const heard = [];
  const socket = io(`${address}/chat`, {
    transports: [transport],
    forceNew: true,
    reconnection: false,
    query: { chat_id: chatId, connection_string: string },
  });
  socket.onAny((kind, data) => heard.push([kind, data]));
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
  });
  return { socket, heard };
}

function until(probe) {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error("it did not come in time")), 30_000);
    const look = setInterval(() => {
      if (!probe()) return;
      clearInterval(look);
      clearTimeout(deadline);
      resolve();
    }, 5);
  });
}

const older = await oldClient();
const newer = newClient();
await until(() => newer.heard.some(([kind]) => kind === "session"));

const message_string = (await authorized("/chat/authorize/message")).message_string;
const ack = await newer.socket.timeout(10_000).emitWithAck("message", { message_string, content: "n=60 delay=0.02", client_message_id: "js" });
for (let cut = 1; cut <= CUTS; cut++) {
  const sessions = newer.heard.filter(([kind]) => kind === "session").length;
  await until(() => newer.heard.filter(([kind]) => kind === "token").length >= 5 * cut);
  newer.socket.io.engine.close();
  await until(() => newer.heard.filter(([kind]) => kind === "session").length > sessions);
}
const isAnswer = ([kind, data]) => kind === "message" && (typeof data === "string" || data.role === "assistant");
await until(() => newer.heard.some(isAnswer) && older.heard.some(isAnswer));

// More at once than the server's library takes by itself from a client that polls.
const floods = await Promise.all(Array.from({ length: 40 }, () => newer.socket.timeout(10_000).emitWithAck("typing", {})));

const { string } = await authorized("/chat/authorize/message");
older.socket.emit("chat_message", JSON.stringify({ message: "n=2", chat_id: chatId, message_string: string }));
await until(() => older.heard.filter(isAnswer).length === 2 && newer.heard.filter(isAnswer).length === 2);

const refused = await new Promise((resolve) => {
  const socket = io(`${address}/chat`, { transports: [transport], forceNew: true, reconnection: false, auth: { connection_string: string } });
  socket.on("connect_error", (error) => resolve(error.message));
});

console.log(JSON.stringify({ ack, newer: newer.heard, older: older.heard, floods, refused }));
process.exit(0);
