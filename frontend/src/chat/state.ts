/**
 * A chat as this page sees it: state + event = state.
 *
 * Pure: the same events in the same order always give the same state, an event that was seen changes nothing, and a
 * state is never changed in place. Numbered events come from the server's log, the others from this page.
 */

import type { ChatEvent, Json, History, Message, Refusal, RunStatus } from "../contract";

/** Streamed text as a chain, newest piece first: adding a token costs the same at any length, and so does taking some back. */
export interface Draft {
  seq: number;
  message_id: string;
  text: string;
  previous: Draft | null;
}

export interface Step {
  seq: number;
  name: string;
  agent_id: string | null;
  isDone: boolean;
}

export interface Question {
  seq: number;
  interrupt_id: string;
  value: Json;
  isSent: boolean;
  refusal: string | null;
}

export interface Failure {
  code: string;
  message: string;
  isRetryable: boolean;
}

export interface Run {
  run_id: string;
  status: RunStatus;
  /** How often a worker was lost and another one took over. */
  restarts: number;
  agent_id: string | null;
  draft: Draft | null;
  steps: Step[];
  question: Question | null;
  failure: Failure | null;
  isStopping: boolean;
  hasAnswer: boolean;
}

export interface Outgoing {
  client_message_id: string;
  content: string;
  agent_id?: string;
  created_at: string;
  /** waiting: not acknowledged yet; stored: acknowledged, its event is on the way; refused: the server said no. */
  state: "waiting" | "stored" | "refused";
  refusal?: Refusal;
}

export interface Notice extends Failure {
  seq: number;
}

export interface ChatState {
  isLoaded: boolean;
  /** Number of the last event that is part of this state. */
  seq: number;
  /** Oldest first. */
  messages: Message[];
  /** Cursor of the page before the oldest message; null at the chat's beginning. */
  older: number | null;
  runs: Record<string, Run>;
  notices: Notice[];
  outbox: Outgoing[];
  /** Who types, and until when to say so (milliseconds since 1970). */
  typing: Record<string, number>;
  closed: Refusal | null;
}

export type LocalEvent =
  | { type: "history"; history: History }
  | { type: "older"; history: History }
  | { type: "send"; outgoing: Outgoing }
  | { type: "acknowledged"; client_message_id: string }
  | { type: "refused"; client_message_id: string; refusal: Refusal }
  | { type: "again"; client_message_id: string }
  | { type: "discard"; client_message_id: string }
  | { type: "stopping"; run_id: string; isStopping: boolean }
  | { type: "answered"; run_id: string }
  | { type: "answer_refused"; run_id: string; message: string }
  | { type: "typing"; user_id: string; until: number }
  | { type: "typing_over"; now: number }
  | { type: "closed"; code: string; message: string };

export const EMPTY: ChatState = {
  isLoaded: false,
  seq: 0,
  messages: [],
  older: null,
  runs: {},
  notices: [],
  outbox: [],
  typing: {},
  closed: null,
};

const IN_PROGRESS: ReadonlySet<RunStatus> = new Set(["pending", "running", "interrupted"]);

export function isInProgress(run: Run): boolean {
  return IN_PROGRESS.has(run.status);
}

/** The state after a numbered event of the server's log; one that was seen already changes nothing. */
export function receive(state: ChatState, event: ChatEvent): ChatState {
  if (event.seq <= state.seq) return state;
  return { ...applied(state, event), seq: event.seq };
}

function applied(state: ChatState, event: ChatEvent): ChatState {
  switch (event.type) {
    case "message":
      return withStored(state, event);
    case "token":
      return onRun(state, event.run_id, (run) => withToken(run, event));
    case "step":
      return onRun(state, event.run_id, (run) => withStep(run, event));
    case "interrupt":
      return onRun(state, event.run_id, (run) => ({ ...run, question: asked(event) }));
    case "run":
      return onRun(state, event.run_id, (run) => withStatus(run, event));
    case "error":
      return withError(state, event);
    default:
      return state;
  }
}

type Of<T extends ChatEvent["type"]> = Extract<ChatEvent, { type: T }>;

function newRun(run_id: string): Run {
  return {
    run_id,
    status: "pending",
    restarts: 0,
    agent_id: null,
    draft: null,
    steps: [],
    question: null,
    failure: null,
    isStopping: false,
    hasAnswer: false,
  };
}

function onRun(state: ChatState, run_id: string, change: (run: Run) => Run): ChatState {
  const before = state.runs[run_id] ?? newRun(run_id);
  return { ...state, runs: { ...state.runs, [run_id]: change(before) } };
}

function withStored(state: ChatState, event: Of<"message">): ChatState {
  const { type: _type, chat_id: _chat, ...message } = event;
  const next = { ...state, messages: inserted(state, message), outbox: without(state.outbox, message.client_message_id) };
  if (!message.run_id) return next;
  if (message.role === "user") return onRun(next, message.run_id, (run) => run);
  return onRun(next, message.run_id, (run) => ({ ...run, agent_id: message.agent_id ?? run.agent_id, draft: null, hasAnswer: true }));
}

/** The messages with one more at its place in the log; one that is known, or belongs to a page not loaded yet, adds nothing. */
function inserted(state: ChatState, message: Message): Message[] {
  const { messages, older } = state;
  if (messages.some((known) => known.message_id === message.message_id)) return messages;
  let place = messages.length;
  while (place > 0 && messages[place - 1]!.seq > message.seq) place--;
  if (place === 0 && older !== null && messages.length > 0) return messages;
  return [...messages.slice(0, place), message, ...messages.slice(place)];
}

function without(outbox: Outgoing[], client_message_id: string | null | undefined): Outgoing[] {
  const rest = outbox.filter((outgoing) => outgoing.client_message_id !== client_message_id);
  return rest.length === outbox.length ? outbox : rest;
}

function withToken(run: Run, event: Of<"token">): Run {
  if (run.hasAnswer) return run;
  const previous = run.draft;
  const seam = previous && previous.message_id !== event.message_id && previous.text ? "\n\n" : "";
  const text = (previous?.text ?? "") + seam + event.delta;
  const draft = { seq: event.seq, message_id: event.message_id, text, previous };
  const status = run.status === "pending" ? "running" : run.status;
  return { ...run, status, draft, agent_id: event.agent_id ?? run.agent_id };
}

function withStep(run: Run, event: Of<"step">): Run {
  const agent_id = event.agent_id ?? run.agent_id;
  if (event.phase === "start") {
    const step = { seq: event.seq, name: event.name, agent_id, isDone: false };
    return { ...run, agent_id, steps: [...run.steps, step] };
  }
  const open = run.steps.findLastIndex((step) => step.name === event.name && !step.isDone);
  return { ...run, agent_id, steps: run.steps.map((step, index) => (index === open ? { ...step, isDone: true } : step)) };
}

function asked(event: Of<"interrupt">): Question {
  return { seq: event.seq, interrupt_id: event.interrupt_id, value: event.value, isSent: false, refusal: null };
}

function withStatus(run: Run, event: Of<"run">): Run {
  const kept = event.supersedes == null ? run : superseded(run, event.supersedes);
  const status = event.status ?? kept.status;
  const next = { ...kept, status };
  if (status === "interrupted") return next;
  if (IN_PROGRESS.has(status)) return { ...next, question: null };
  const steps = next.steps.map((step) => (step.isDone ? step : { ...step, isDone: true }));
  return { ...next, steps, question: null, isStopping: false };
}

/** The run as it was before the event `seq`: what came from there on belongs to an attempt that no longer counts. */
function superseded(run: Run, seq: number): Run {
  let draft = run.draft;
  while (draft && draft.seq >= seq) draft = draft.previous;
  const question = run.question && run.question.seq >= seq ? null : run.question;
  return { ...run, draft, question, failure: null, restarts: run.restarts + 1, steps: run.steps.filter((step) => step.seq < seq) };
}

function withError(state: ChatState, event: Of<"error">): ChatState {
  const failure = { code: event.code, message: event.message, isRetryable: event.retryable ?? false };
  if (event.run_id) return onRun(state, event.run_id, (run) => ({ ...run, failure }));
  return { ...state, notices: [...state.notices, { ...failure, seq: event.seq }] };
}

/** The state after something that happened on this page, or that the server says outside its log. */
export function happen(state: ChatState, event: LocalEvent): ChatState {
  switch (event.type) {
    case "history":
      return withHistory(state, event.history);
    case "older":
      return withOlder(state, event.history);
    case "send":
      return { ...state, outbox: [...state.outbox, event.outgoing] };
    case "acknowledged":
      return onOutgoing(state, event.client_message_id, (outgoing) => ({ ...outgoing, state: "stored" }));
    case "refused":
      return onOutgoing(state, event.client_message_id, (outgoing) => ({ ...outgoing, state: "refused", refusal: event.refusal }));
    case "again":
      return onOutgoing(state, event.client_message_id, ({ refusal: _refusal, ...outgoing }) => ({ ...outgoing, state: "waiting" }));
    case "discard":
      return { ...state, outbox: without(state.outbox, event.client_message_id) };
    case "stopping":
      return onKnownRun(state, event.run_id, (run) => ({ ...run, isStopping: event.isStopping && isInProgress(run) }));
    case "answered":
      return onQuestion(state, event.run_id, (question) => ({ ...question, isSent: true, refusal: null }));
    case "answer_refused":
      return onQuestion(state, event.run_id, (question) => ({ ...question, isSent: false, refusal: event.message }));
    case "typing":
      return { ...state, typing: { ...state.typing, [event.user_id]: event.until } };
    case "typing_over":
      return { ...state, typing: Object.fromEntries(Object.entries(state.typing).filter(([, until]) => until > event.now)) };
    case "closed":
      return { ...state, closed: { code: event.code, message: event.message } };
  }
}

/** The newest page of the history takes the place of what was there; what is not sent yet stays. */
function withHistory(state: ChatState, history: History): ChatState {
  const messages = [...history.messages].reverse();
  const known = new Set(messages.map((message) => message.client_message_id));
  return {
    ...EMPTY,
    isLoaded: true,
    seq: history.replay_from,
    messages,
    older: history.next,
    runs: answeredRuns(messages),
    outbox: state.outbox.filter((outgoing) => !known.has(outgoing.client_message_id)),
  };
}

function withOlder(state: ChatState, history: History): ChatState {
  const known = new Set(state.messages.map((message) => message.message_id));
  const before = [...history.messages].reverse().filter((message) => !known.has(message.message_id));
  return { ...state, messages: [...before, ...state.messages], older: history.next, runs: { ...answeredRuns(before), ...state.runs } };
}

/** Runs whose answer is stored: what is streamed of them again no longer counts. */
function answeredRuns(messages: Message[]): Record<string, Run> {
  const answers = messages.filter((message) => message.role === "assistant" && message.run_id);
  return Object.fromEntries(
    answers.map((message) => [
      message.run_id!,
      { ...newRun(message.run_id!), status: "success", agent_id: message.agent_id ?? null, hasAnswer: true } satisfies Run,
    ]),
  );
}

function onOutgoing(state: ChatState, client_message_id: string, change: (outgoing: Outgoing) => Outgoing): ChatState {
  const outbox = state.outbox.map((outgoing) => (outgoing.client_message_id === client_message_id ? change(outgoing) : outgoing));
  return { ...state, outbox };
}

function onKnownRun(state: ChatState, run_id: string, change: (run: Run) => Run): ChatState {
  return state.runs[run_id] ? onRun(state, run_id, change) : state;
}

function onQuestion(state: ChatState, run_id: string, change: (question: Question) => Question): ChatState {
  return onKnownRun(state, run_id, (run) => (run.question ? { ...run, question: change(run.question) } : run));
}
