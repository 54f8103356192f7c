// Every method of LangChain's JavaScript client: node client.js <base url> <access token>; prints what came of it as JSON.

import { Client } from "@langchain/langgraph-sdk";

const [apiUrl, token] = process.argv.slice(2);
const NOUNS = ["assistants", "threads", "runs", "crons", "store"];
// What the nouns share, and what no server has any more.
const NOT_OURS = new Set(["constructor", "prepareFetchOptions", "fetch", "streamWithRetry", "patchState"]);
const YEARLY = "0 0 1 1 *";
const said = { untold: {} };

const told = Object.fromEntries(NOUNS.map((noun) => [noun, new Set()]));
const client = noting(new Client({ apiUrl, defaultHeaders: { Authorization: `Bearer ${token}` } }));

function methods(object) {
  const names = new Set();
  for (let kind = Object.getPrototypeOf(object); kind !== Object.prototype; kind = Object.getPrototypeOf(kind))
    Object.getOwnPropertyNames(kind).forEach((name) => names.add(name));
  return [...names].filter((name) => !NOT_OURS.has(name) && typeof object[name] === "function");
}

// The client as it is; which methods were called is noted.
function noting(made) {
  const nouns = NOUNS.map((noun) => {
    const get = (object, name) => {
      told[noun].add(name);
      const value = object[name];
      return typeof value === "function" ? value.bind(object) : value;
    };
    return [noun, new Proxy(made[noun], { get })];
  });
  return Object.assign(Object.fromEntries(nouns), { made });
}

async function all(stream, enough = () => false) {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
    if (enough(part)) break;
  }
  return parts;
}

const refusal = (promise) => promise.then(() => null, (error) => error.status);
const asked = (text) => ({ messages: [{ role: "user", content: text }] });
const texts = (values) => values.messages.map((message) => message.content);

async function assistants() {
  const made = await client.assistants.create({ graphId: "slow", name: "Kind", metadata: { by: "js" }, context: { tone: "kind" } });
  const id = made.assistant_id;
  await client.assistants.update(id, { name: "Kinder", metadata: { more: 1 } });
  const { name, metadata, version } = await client.assistants.get(id);
  const versions = (await client.assistants.getVersions(id)).map((each) => each.version);
  const latest = (await client.assistants.setLatest(id, 1)).name;
  const found = await client.assistants.search({ metadata: { by: "js" }, limit: 1, sortBy: "created_at", includePagination: true });
  said.assistant = { name, metadata, version, versions, latest, found: found.assistants.length };
  said.counted = await client.assistants.count({ graphId: "slow", metadata: { by: "js" } });
  said.nodes = (await client.assistants.getGraph(id, { xray: true })).nodes.map((node) => node.id);
  said.schemas = Object.keys((await client.assistants.getSchemas(id)).input_schema.properties);
  said.subgraphs = await client.assistants.getSubgraphs(id, { recurse: true });
  await client.assistants.delete(id, { deleteThreads: true });
  said.deleted = await refusal(client.assistants.get(id));
}

async function threads() {
  const made = await client.threads.create({ threadId: "js-thread", graphId: "slow", metadata: { by: "js" }, ttl: 90, ifExists: "do_nothing" });
  const id = made.thread_id;
  await client.threads.update(id, { metadata: { more: 1 } });
  await client.runs.wait(id, "slow", { input: asked("n=2") });
  const state = await client.threads.getState(id);
  await client.threads.updateState(id, { values: asked("an afterthought"), asNode: "answer" });
  said.states = (await client.threads.getHistory(id, { limit: 10 })).length;
  said.earlier = texts((await client.threads.getState(id, state.checkpoint)).values);
  said.thread = [(await client.threads.get(id)).metadata.more, await client.threads.count({ metadata: { by: "js" } })];
  said.searched = await client.threads.search({ metadata: { by: "js" }, select: ["thread_id"], sortBy: "updated_at", sortOrder: "desc" });
  const twin = (await client.threads.copy(id)).thread_id;
  const joined = await all(client.threads.joinStream(id, { lastEventId: "-1" }), (part) => part.data?.status === "run_done");
  said.joined = joined.map((part) => part.event);
  said.pruned = (await client.threads.prune([twin], { strategy: "delete" })).pruned_count;
  await client.threads.delete(id);
  said.gone = await refusal(client.threads.get(id));
  const thread = client.threads.stream({ assistantId: "slow" });
  await thread.run.start({ input: asked("n=2") });
  said.streamed = (await thread.output).messages.length;
  await thread.close();
}

async function runs() {
  const { thread_id: id } = await client.threads.create();
  const heard = await all(client.runs.stream(id, "slow", { input: asked("n=3"), streamMode: ["values", "messages-tuple"] }));
  said.heard = [heard[0].event, heard.at(-1).event, texts(heard.filter((part) => part.event === "values").at(-1).data).at(-1)];
  let noted;
  const run = await client.runs.create(id, "slow", { input: asked("n=4"), onRunCreated: (created) => (noted = created.run_id) });
  said.noted = noted === run.run_id;
  said.left = texts(await client.runs.join(id, run.run_id)).at(-1);
  const whole = await all(client.runs.joinStream(id, run.run_id));
  said.values = (await all(client.runs.joinStream(id, run.run_id, { streamMode: ["values"] }))).map((part) => part.event);
  const rest = await all(client.runs.joinStream(id, run.run_id, { lastEventId: whole[0].id }));
  said.replayed = rest.map((part) => part.id).join() === whole.slice(1).map((part) => part.id).join();
  said.byId = (await all(client.runs.joinStream(null, run.run_id))).length === whole.length;
  said.listed = (await client.runs.list(id, { status: "success", limit: 5 })).length;
  said.status = (await client.runs.get(id, run.run_id)).status;
  const long = await client.runs.create(id, "waiting", { input: asked("for=60") });
  await client.runs.cancel(id, long.run_id, true, "interrupt");
  said.cancelled = (await client.runs.get(id, long.run_id)).status;
  const other = await client.runs.create(id, "waiting", { input: asked("for=60") });
  await client.runs.cancelMany({ threadId: id, runIds: [other.run_id], action: "interrupt" });
  await client.runs.delete(id, other.run_id);
  said.forgotten = await refusal(client.runs.get(id, other.run_id));
  const batch = await client.runs.createBatch([1, 2].map((n) => ({ assistantId: "slow", input: asked(`n=${n}`) })));
  said.batch = await Promise.all(batch.map(async (each) => texts(await client.runs.join(each.thread_id, each.run_id)).at(-1)));
  said.alone = texts(await client.runs.wait(null, "slow", { input: asked("n=1") })).at(-1);
  const { __interrupt__: questions } = await client.runs.wait(id, "asking", { input: asked("hello") });
  said.question = questions[0].value.question;
}

async function crons() {
  const cron = await client.crons.create("slow", { schedule: YEARLY, input: asked("n=1"), metadata: { by: "js" }, timezone: "Europe/Berlin" });
  const { thread_id: id } = await client.threads.create();
  const own = await client.crons.createForThread(id, "slow", { schedule: YEARLY, input: asked("n=1") });
  said.crons = [await client.crons.count({ metadata: { by: "js" } }), (await client.crons.search({ threadId: id })).length];
  said.paused = (await client.crons.update(cron.cron_id, { enabled: false })).enabled;
  await client.crons.delete(cron.cron_id);
  await client.crons.delete(own.cron_id);
}

async function store() {
  const home = ["js", "notes"];
  await client.store.putItem(home, "food", { likes: "pizza" }, { ttl: 60, index: false });
  const { value, createdAt } = await client.store.getItem(home, "food", { refreshTtl: false });
  const { items } = await client.store.searchItems(["js"], { filter: { likes: "pizza" }, query: "food" });
  const { namespaces } = await client.store.listNamespaces({ prefix: ["js"], maxDepth: 2 });
  await client.store.deleteItem(home, "food");
  said.item = [value, Boolean(createdAt), items.length, namespaces, await client.store.getItem(home, "food")];
}

for (const part of [assistants, threads, runs, crons, store]) await part();
for (const noun of NOUNS) said.untold[noun] = methods(client.made[noun]).filter((name) => !told[noun].has(name));
console.log(JSON.stringify(said));
process.exit(0);
