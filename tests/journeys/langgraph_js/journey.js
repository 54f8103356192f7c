// A thread as LangChain's JavaScript client has it: node journey.js <base url> <access token>; prints what happened as JSON.

import { Client } from "@langchain/langgraph-sdk";
import { StreamController } from "@langchain/langgraph-sdk/stream";

const [baseUrl, token] = process.argv.slice(2);
const client = new Client({ apiUrl: baseUrl, defaultHeaders: { Authorization: `Bearer ${token}` } });
const said = {};

const within = (promise, what, ms = 30_000) =>
  Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error(`${what} took too long`)), ms).unref())]);

const until = (store, test, what) =>
  within(
    new Promise((done) => {
      const look = () => test(store.getSnapshot()) && done(store.getSnapshot());
      store.subscribe(look);
      look();
    }),
    what,
  );

async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

const texts = (messages) => messages.map((message) => (typeof message.content === "string" ? message.content : message.text));

async function streams() {
  const thread = client.threads.stream({ assistantId: "steps" });
  const subscription = await thread.subscribe({ channels: ["values", "updates", "checkpoints", "tasks"] });
  const heard = all(subscription);
  await thread.run.start({ input: { name: "x" } });
  said.output = await within(thread.output, "the output");
  said.methods = [...new Set((await within(heard, "the events")).map((event) => event.method))].sort();
  said.tree = await thread.agent.getTree();
  await thread.close();
}

async function asks() {
  const thread = client.threads.stream({ assistantId: "subask" });
  const values = thread.values;
  await thread.run.start({ input: { question: "q" } });
  await within(values, "the question");
  said.asked = thread.interrupts.map(({ payload }) => payload);
  const [{ interruptId, namespace }] = thread.interrupts;
  const events = await thread.subscribe({ channels: ["values", "lifecycle"] });
  await thread.input.respond({ interrupt_id: interruptId, namespace, response: "yes" });
  for await (const event of events) {
    if (event.method === "values" && event.params.namespace.length === 0) said.answered = event.params.data;
    if (event.method === "lifecycle" && event.params.data.event === "completed" && event.params.namespace.length === 0) break;
  }
  said.again = await thread.input.respond({ interrupt_id: interruptId, namespace, response: "no" }).catch((error) => error.code);
  await thread.close();
}

async function controls() {
  let threadId;
  const controller = new StreamController({ client, assistantId: "echo", threadId: null, onThreadId: (id) => (threadId = id) });
  const release = controller.activate();
  await within(controller.submit({ messages: [{ type: "human", content: "hello" }] }), "the first answer");
  await within(controller.submit({ messages: [{ type: "human", content: "again" }] }), "the second answer");
  const done = await until(controller.rootStore, (state) => !state.isLoading && state.messages.length === 4, "four messages");
  said.talk = texts(done.messages);
  release();
  await controller.dispose();

  const later = new StreamController({ client, assistantId: "echo", threadId });
  const releaseLater = later.activate();
  await within(later.hydrationPromise, "the thread");
  said.back = texts((await until(later.rootStore, (state) => state.messages.length === 4, "the messages")).messages);
  await within(later.submit({ messages: [{ type: "human", content: "third" }] }), "the third answer");
  said.more = texts((await until(later.rootStore, (state) => state.messages.length === 6, "six messages")).messages);
  releaseLater();
  await later.dispose();
}

async function interrupts() {
  const controller = new StreamController({ client, assistantId: "ask", threadId: null });
  const release = controller.activate();
  controller.submit({ question: "really?" });
  const asked = await until(controller.rootStore, (state) => state.interrupts.length === 1 && !state.isLoading, "the question");
  said.question = asked.interrupt.value;
  await within(controller.respond("yes"), "the answer");
  const done = await until(controller.rootStore, (state) => !state.isLoading && state.values.answers?.length > 0, "the end");
  said.answers = done.values.answers;
  release();
  await controller.dispose();

  const failing = new StreamController({ client, assistantId: "failing", threadId: null });
  const releaseFailing = failing.activate();
  await failing.submit({ name: "x" });
  said.failed = failing.rootStore.getSnapshot().error?.message;
  releaseFailing();
  await failing.dispose();
}

async function sockets() {
  const plain = new Client({ apiUrl: baseUrl });
  const { thread_id: threadId } = await client.threads.create();
  const path = `/threads/${threadId}/stream/events`;
  const answer = await fetch(`${baseUrl}/ws/ticket`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ path }),
  });
  const { ticket } = await answer.json();
  const thread = plain.threads.stream(threadId, {
    assistantId: "steps",
    transport: "websocket",
    webSocketFactory: (url) => new WebSocket(`${url}?ticket=${encodeURIComponent(ticket)}`),
  });
  const subscription = await thread.subscribe({ channels: ["values", "lifecycle"] });
  await thread.run.start({ input: { name: "over a socket" } });
  const heard = [];
  for await (const event of subscription) {
    heard.push(event.method);
    if (event.method === "lifecycle" && event.params.data.event === "completed") break;
  }
  said.socket = heard;
  await thread.close();
}

for (const part of [streams, asks, controls, interrupts, sockets]) await part();
console.log(JSON.stringify(said));
process.exit(0);
