import { describe, expect, test } from "vitest";
import { outgoing } from "../src/chat/outbox";
import { EMPTY, happen, isInProgress, receive, type ChatState } from "../src/chat/state";
import type { ChatEvent, Message, RunStatus } from "../src/contract";

const CHAT = "c1";
const at = (second: number) => `2026-01-01T10:00:${String(second).padStart(2, "0")}Z`;

/** A log that numbers its events, as the server does. */
function log(first = 1) {
  let seq = first - 1;
  const next = () => ({ chat_id: CHAT, seq: ++seq });
  return {
    asked: (content: string, run_id: string, client_message_id?: string): ChatEvent => ({
      type: "message",
      ...next(),
      message_id: `m-${run_id}`,
      role: "user",
      user_id: "u1",
      content,
      run_id,
      created_at: at(seq),
      client_message_id,
    }),
    answered: (content: string, run_id: string): ChatEvent => ({
      type: "message",
      ...next(),
      message_id: `a-${run_id}`,
      role: "assistant",
      agent_id: "echo",
      content,
      run_id,
      created_at: at(seq),
    }),
    token: (delta: string, run_id: string, message_id = `a-${run_id}`): ChatEvent => ({
      type: "token",
      ...next(),
      run_id,
      message_id,
      agent_id: "echo",
      delta,
    }),
    step: (name: string, phase: "start" | "end", run_id: string): ChatEvent => ({
      type: "step",
      ...next(),
      run_id,
      agent_id: "echo",
      name,
      phase,
    }),
    run: (status: RunStatus, run_id: string): ChatEvent => ({ type: "run", ...next(), run_id, status, attempt: 1 }),
    again: (supersedes: number, run_id: string): ChatEvent => ({
      type: "run",
      ...next(),
      run_id,
      status: "running",
      attempt: 2,
      supersedes,
    }),
    interrupt: (value: string, run_id: string): ChatEvent => ({ type: "interrupt", ...next(), run_id, interrupt_id: `i-${seq}`, value }),
    error: (message: string, run_id?: string): ChatEvent => ({
      type: "error",
      ...next(),
      run_id,
      code: "agent_failed",
      message,
      retryable: true,
    }),
  };
}

const after = (events: ChatEvent[], state: ChatState = EMPTY) => events.reduce(receive, state);

const stored = (message_id: string, second: number, more: Partial<Message> = {}): Message => ({
  message_id,
  seq: second,
  role: "user",
  content: message_id,
  created_at: at(second),
  ...more,
});

describe("an answer", () => {
  test("grows token by token", () => {
    const l = log();
    const state = after([l.asked("hi", "r1"), l.run("running", "r1"), l.token("Hel", "r1"), l.token("lo", "r1")]);
    expect(state.runs.r1!.draft!.text).toBe("Hello");
    expect(isInProgress(state.runs.r1!)).toBe(true);
  });

  test("is replaced by the message that was stored", () => {
    const l = log();
    const state = after([l.asked("hi", "r1"), l.token("Helo", "r1"), l.answered("Hello", "r1"), l.run("success", "r1")]);
    expect(state.runs.r1).toMatchObject({ draft: null, hasAnswer: true, status: "success" });
    expect(state.messages.map((message) => message.content)).toEqual(["hi", "Hello"]);
  });

  test("keeps the texts of two model messages apart", () => {
    const l = log();
    expect(after([l.token("First.", "r1", "x"), l.token("Second.", "r1", "y")]).runs.r1!.draft!.text).toBe("First.\n\nSecond.");
  });

  test("drops what a dead worker had written from the superseded number on, and nothing before it", () => {
    const l = log();
    const state = after([
      l.token("kept ", "r1"),
      l.token("lost", "r1"),
      l.step("tool", "start", "r1"),
      l.again(2, "r1"),
      l.token("new", "r1"),
    ]);
    expect(state.runs.r1).toMatchObject({ restarts: 1, steps: [] });
    expect(state.runs.r1!.draft!.text).toBe("kept new");
  });

  test("of another run is not touched when a run starts again", () => {
    const l = log();
    const state = after([l.token("other", "r2"), l.token("lost", "r1"), l.again(1, "r1")]);
    expect(state.runs.r2!.draft!.text).toBe("other");
    expect(state.runs.r1!.draft).toBeNull();
  });

  test("of 50,000 tokens shares its text with the states before", () => {
    const l = log();
    const states = [EMPTY];
    for (let i = 0; i < 50_000; i++) states.push(receive(states.at(-1)!, l.token("x", "r1")));
    expect(states.at(-1)!.runs.r1!.draft!.text).toHaveLength(50_000);
    expect(states[2]!.runs.r1!.draft!.previous).toBe(states[1]!.runs.r1!.draft);
  });
});

describe("an event", () => {
  test("that was seen changes nothing at all", () => {
    const l = log();
    const events = [l.asked("hi", "r1"), l.token("a", "r1"), l.token("b", "r1"), l.answered("ab", "r1")];
    const state = after(events);
    for (const event of events) expect(receive(state, event)).toBe(state);
  });

  test("of a kind not known yet moves the number on", () => {
    const state = receive(EMPTY, { type: "novelty", chat_id: CHAT, seq: 1 } as unknown as ChatEvent);
    expect(state).toEqual({ ...EMPTY, seq: 1 });
  });

  test("never changes the state it is given", () => {
    const l = log();
    const before = structuredClone(after([l.asked("hi", "r1"), l.step("s", "start", "r1")]));
    const frozen = deepFrozen(structuredClone(before));
    after(
      [l.token("a", "r1"), l.step("s", "end", "r1"), l.interrupt("?", "r1"), l.again(3, "r1"), l.error("no"), l.answered("a", "r1")],
      frozen,
    );
    expect(frozen).toEqual(before);
  });
});

function deepFrozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(deepFrozen);
  return value;
}

describe("a run", () => {
  test("counts a step as done when it ends, the innermost of that name first", () => {
    const l = log();
    const state = after([l.step("a", "start", "r1"), l.step("a", "start", "r1"), l.step("a", "end", "r1")]);
    expect(state.runs.r1!.steps.map((step) => step.isDone)).toEqual([false, true]);
  });

  test("has no open step left when it is over", () => {
    const l = log();
    expect(after([l.step("a", "start", "r1"), l.run("cancelled", "r1")]).runs.r1!.steps.map((step) => step.isDone)).toEqual([true]);
  });

  test("shows its failure where it happened", () => {
    const l = log();
    const state = after([l.asked("hi", "r1"), l.error("No model.", "r1"), l.run("error", "r1")]);
    expect(state.runs.r1!.failure).toEqual({ code: "agent_failed", message: "No model.", isRetryable: true });
    expect(state.notices).toEqual([]);
  });

  test("stops being stopped once it has ended", () => {
    const l = log();
    const running = after([l.run("running", "r1")]);
    const stopping = happen(running, { type: "stopping", run_id: "r1", isStopping: true });
    expect(stopping.runs.r1!.isStopping).toBe(true);
    expect(receive(stopping, l.run("cancelled", "r1")).runs.r1!.isStopping).toBe(false);
  });

  test("that this page does not know is not invented by a click", () => {
    expect(happen(EMPTY, { type: "stopping", run_id: "r9", isStopping: true })).toBe(EMPTY);
  });
});

describe("a question of an agent", () => {
  const l = log();
  const waiting = after([l.run("running", "r1"), l.interrupt("Really?", "r1"), l.run("interrupted", "r1")]);

  test("stays until the run goes on", () => {
    expect(waiting.runs.r1!.question!.value).toBe("Really?");
    expect(receive(waiting, { ...l.run("running", "r1") }).runs.r1!.question).toBeNull();
  });

  test("is marked as answered at once, and opened again when the answer is refused", () => {
    const sent = happen(waiting, { type: "answered", run_id: "r1" });
    expect(sent.runs.r1!.question).toMatchObject({ isSent: true, refusal: null });
    const refused = happen(sent, { type: "answer_refused", run_id: "r1", message: "Answered already." });
    expect(refused.runs.r1!.question).toMatchObject({ isSent: false, refusal: "Answered already." });
  });
});

describe("a message of mine", () => {
  const mine = { ...outgoing("hi"), client_message_id: "k1" };
  const sent = happen(EMPTY, { type: "send", outgoing: mine });

  test("leaves the outbox when its event comes, whether or not it was acknowledged", () => {
    expect(receive(sent, log().asked("hi", "r1", "k1")).outbox).toEqual([]);
    const acknowledged = happen(sent, { type: "acknowledged", client_message_id: "k1" });
    expect(acknowledged.outbox[0]!.state).toBe("stored");
    expect(receive(acknowledged, log().asked("hi", "r1", "k1")).outbox).toEqual([]);
  });

  test("that was refused can be sent again or thrown away", () => {
    const refused = happen(sent, { type: "refused", client_message_id: "k1", refusal: { code: "too_long", message: "Too long." } });
    expect(refused.outbox[0]).toMatchObject({ state: "refused", refusal: { message: "Too long." } });
    expect(happen(refused, { type: "again", client_message_id: "k1" }).outbox[0]).toEqual(mine);
    expect(happen(refused, { type: "discard", client_message_id: "k1" }).outbox).toEqual([]);
  });

  test("that another page sent is not taken for one of this outbox", () => {
    expect(receive(sent, log().asked("other", "r1", "k2")).outbox).toHaveLength(1);
  });
});

describe("the history", () => {
  const page = { messages: [stored("m3", 39), stored("m2", 22)], next: 20, last_seq: 40, replay_from: 38 };

  test("comes newest first, and is shown oldest first", () => {
    const state = happen(EMPTY, { type: "history", history: page });
    expect(state.messages.map((message) => message.message_id)).toEqual(["m2", "m3"]);
    expect(state).toMatchObject({ isLoaded: true, seq: 38, older: 20 });
  });

  test("and the events after it tell each message once", () => {
    const state = happen(EMPTY, { type: "history", history: page });
    const replayed = after(
      [
        { type: "message", chat_id: CHAT, ...stored("m3", 39) },
        { type: "message", chat_id: CHAT, ...stored("m4", 40) },
      ],
      state,
    );
    expect(replayed.messages.map((message) => message.message_id)).toEqual(["m2", "m3", "m4"]);
  });

  test("that holds an answer lets the replay of its tokens pass by", () => {
    const answer = stored("a1", 3, { role: "assistant", run_id: "r1", agent_id: "echo" });
    const state = happen(EMPTY, { type: "history", history: { messages: [answer], next: null, last_seq: 9, replay_from: 2 } });
    const l = log(3);
    expect(after([l.run("running", "r1"), l.token("again", "r1"), l.run("success", "r1")], state).runs.r1!.draft).toBeNull();
  });

  test("does not get a message of a page that is not loaded yet", () => {
    const state = happen(EMPTY, { type: "history", history: page });
    expect(after([{ type: "message", chat_id: CHAT, ...stored("m1", 19) }], { ...state, seq: 18 }).messages).toHaveLength(2);
  });

  test("puts an older page before what is there, each message once", () => {
    const state = happen(EMPTY, { type: "history", history: page });
    const more = happen(state, {
      type: "older",
      history: { messages: [stored("m2", 22), stored("m1", 1)], next: null, last_seq: 40, replay_from: 40 },
    });
    expect(more.messages.map((message) => message.message_id)).toEqual(["m1", "m2", "m3"]);
    expect(more.older).toBeNull();
  });

  test("loaded anew keeps what is not sent yet, and drops what it holds", () => {
    const waiting = ["k1", "k2"].reduce(
      (state, client_message_id) => happen(state, { type: "send", outgoing: { ...outgoing("x"), client_message_id } }),
      EMPTY,
    );
    const history = { messages: [stored("m1", 1, { client_message_id: "k1" })], next: null, last_seq: 5, replay_from: 5 };
    const state = happen(waiting, { type: "history", history });
    expect(state.outbox.map((each) => each.client_message_id)).toEqual(["k2"]);
    expect(state.seq).toBe(5);
  });
});

test("loading in the middle and replaying gives the same conversation as having been there", () => {
  const l = log();
  const events = [
    l.asked("one", "r1"),
    l.run("running", "r1"),
    l.token("On", "r1"),
    l.answered("One.", "r1"),
    l.run("success", "r1"),
    l.asked("two", "r2"),
    l.run("running", "r2"),
    l.token("Tw", "r2"),
    l.token("o", "r2"),
  ];
  const messages = after(events).messages;
  const live = after(events);
  const history = { messages: [...messages].reverse(), next: null, last_seq: 9, replay_from: 5 };
  const reloaded = after(events, happen(EMPTY, { type: "history", history }));
  expect(reloaded.messages).toEqual(live.messages);
  expect(reloaded.runs.r2).toEqual({ ...live.runs.r2 });
  expect(reloaded.seq).toBe(live.seq);
});

test("somebody who typed a while ago types no more", () => {
  const typing = happen(EMPTY, { type: "typing", user_id: "u2", until: 100 });
  expect(happen(typing, { type: "typing_over", now: 99 }).typing).toEqual({ u2: 100 });
  expect(happen(typing, { type: "typing_over", now: 100 }).typing).toEqual({});
});

test("a chat that was closed says why", () => {
  expect(happen(EMPTY, { type: "closed", code: "chat_deleted", message: "Deleted." }).closed).toEqual({
    code: "chat_deleted",
    message: "Deleted.",
  });
});
