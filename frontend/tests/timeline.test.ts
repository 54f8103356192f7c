import { expect, test } from "vitest";
import { announcement } from "../src/chat/announcement";
import { outgoing } from "../src/chat/outbox";
import { EMPTY, happen, receive, type ChatState } from "../src/chat/state";
import { timeline } from "../src/chat/timeline";
import type { ChatEvent, Message } from "../src/contract";

const message = (message_id: string, role: Message["role"], run_id: string | null, second: number): Message => ({
  message_id,
  seq: second,
  role,
  run_id,
  content: message_id,
  created_at: `2026-01-01T10:00:0${second}Z`,
});

const loaded = (messages: Message[]): ChatState =>
  happen(EMPTY, { type: "history", history: { messages: messages.reverse(), next: null, last_seq: 0, replay_from: 0 } });
const kinds = (state: ChatState) => timeline(state).map((item) => `${item.kind}:${item.key}`);
const event = (fields: object): ChatEvent => ({ chat_id: "c1", ...fields }) as ChatEvent;

test("each answer follows its question, also when another question came in between", () => {
  const state = loaded([
    message("q1", "user", "r1", 1),
    message("q2", "user", "r2", 2),
    message("a1", "assistant", "r1", 3),
    message("a2", "assistant", "r2", 4),
  ]);
  expect(kinds(state)).toEqual(["question:q1", "answer:r1", "question:q2", "answer:r2"]);
});

test("an answer keeps its place and its key from the first token to the stored message", () => {
  let state = receive(
    loaded([message("q1", "user", "r1", 1)]),
    event({ type: "token", seq: 1, run_id: "r1", message_id: "a1", delta: "x" }),
  );
  const before = kinds(state);
  state = receive(state, event({ type: "message", ...message("a1", "assistant", "r1", 2) }));
  expect(kinds(state)).toEqual(before);
});

test("my message keeps its key from the outbox to the stored message", () => {
  const mine = outgoing("hi");
  const waiting = happen(EMPTY, { type: "send", outgoing: mine });
  expect(kinds(waiting)).toEqual([`outgoing:${mine.client_message_id}`]);
  const stored = receive(waiting, event({ type: "message", ...message("q1", "user", null, 1), client_message_id: mine.client_message_id }));
  expect(kinds(stored)).toEqual([`question:${mine.client_message_id}`]);
});

test("an answer whose question is on an earlier page stands by itself", () => {
  expect(kinds(loaded([message("a1", "assistant", "r1", 1)]))).toEqual(["answer:r1"]);
});

test("a run that asked nobody here is shown at the end", () => {
  const state = receive(
    loaded([message("q1", "user", null, 1)]),
    event({ type: "token", seq: 1, run_id: "r9", message_id: "a", delta: "x" }),
  );
  expect(kinds(state)).toEqual(["question:q1", "answer:r9"]);
});

const name = () => "Echo";

test("an answer is announced once, when it is complete, and no token before", () => {
  const asked = loaded([message("q1", "user", "r1", 1)]);
  const growing = receive(asked, event({ type: "token", seq: 1, run_id: "r1", message_id: "a1", delta: "x" }));
  expect(announcement(asked, growing, name)).toBeNull();
  const done = receive(growing, event({ type: "message", ...message("a1", "assistant", "r1", 2) }));
  expect(announcement(growing, done, name)).toBe("Echo answered: a1");
  const over = receive(done, event({ type: "run", seq: 3, run_id: "r1", status: "success" }));
  expect(announcement(done, over, name)).toBeNull();
});

test("a question, a failure and a stop are announced", () => {
  const start = receive(loaded([]), event({ type: "run", seq: 1, run_id: "r1", status: "running" }));
  const asks = receive(start, event({ type: "interrupt", seq: 2, run_id: "r1", interrupt_id: "i1", value: "?" }));
  expect(announcement(start, asks, name)).toBe("Echo asks you a question.");
  const fails = receive(start, event({ type: "error", seq: 2, run_id: "r1", code: "x", message: "No model." }));
  expect(announcement(start, fails, name)).toBe("No model.");
  const stopped = receive(start, event({ type: "run", seq: 2, run_id: "r1", status: "cancelled" }));
  expect(announcement(start, stopped, name)).toBe("The answer was stopped.");
});

test("the history is not read out", () => {
  expect(announcement(EMPTY, loaded([message("a1", "assistant", "r1", 1)]), name)).toBeNull();
});
