/**
 * One open chat: its history, its live events and what this page sends.
 *
 * The first connect costs a connection string; each later one uses the token of the last `session` event, and falls back
 * to a new string when the token is refused. Nothing is lost in between: every connect names the last event seen.
 */

import { io, type Socket } from "socket.io-client";
import * as api from "./api";
import { ApiError } from "./api";
import { keepOutbox, keptOutbox, outgoing } from "./chat/outbox";
import { EMPTY, happen, receive, type ChatState, type LocalEvent, type Outgoing } from "./chat/state";
import {
  CHAT_EVENT_TYPES,
  LOG_TRIMMED,
  type Acknowledgement,
  type ChatEvent,
  type ClosedEvent,
  type Json,
  type SessionEvent,
} from "./contract";
import { Observable } from "./observable";

export type Link = "connecting" | "online" | "offline" | "ended";

const ACK_TIMEOUT_MS = 10_000;
/** Time in which missing events must begin to come before the history is loaded anew. */
const CATCH_UP_MS = 4_000;
const TYPING_SHOWN_MS = 4_000;
const TYPING_EVERY_MS = 2_500;
const LONGEST_PAUSE_MS = 5_000;
/** Refusals that a fresh message string cures. */
const STALE_STRING = new Set(["expired", "replayed"]);
/** Refusals that pass by themselves. */
const PASSING = new Set(["unavailable", "not_connected"]);
/** Reasons of a closed socket that another one would not change. */
const FOR_GOOD = new Set(["chat_deleted", "access_ended"]);

export class ChatConnection {
  readonly state: Observable<ChatState>;
  readonly link = new Observable<Link>("connecting");
  /** Why the chat cannot be shown at all. */
  readonly failure = new Observable<ApiError | null>(null);

  #socket: Socket | null = null;
  #permit: Promise<string> | null = null;
  #session: SessionEvent | null = null;
  #refusals = 0;
  #isSending = false;
  #isClosed = false;
  #typedAt = 0;
  #expected = 0;
  #gapAt = -1;
  #timers: Record<string, ReturnType<typeof setTimeout>> = {};

  constructor(readonly chatId: string) {
    this.state = new Observable({ ...EMPTY, outbox: keptOutbox(chatId) });
  }

  /** Shows the history, then what happens from there on. */
  async open(): Promise<void> {
    addEventListener("online", this.#retryNow);
    this.#permit = api.authorizeChat(this.chatId);
    this.#permit.catch(() => {});
    if (await this.#loadHistory()) this.#connect();
  }

  close(): void {
    this.#isClosed = true;
    removeEventListener("online", this.#retryNow);
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#socket?.disconnect();
  }

  send(content: string, agentId?: string): void {
    this.#happen({ type: "send", outgoing: outgoing(content, agentId) });
    void this.#drain();
  }

  sendAgain(client_message_id: string): void {
    this.#happen({ type: "again", client_message_id });
    void this.#drain();
  }

  discard(client_message_id: string): void {
    this.#happen({ type: "discard", client_message_id });
  }

  async stop(run_id: string): Promise<void> {
    this.#happen({ type: "stopping", run_id, isStopping: true });
    const answer = await this.#ask("cancel", { run_id });
    if (!answer.ok) this.#happen({ type: "stopping", run_id, isStopping: false });
  }

  async answer(run_id: string, value: Json): Promise<void> {
    this.#happen({ type: "answered", run_id });
    const interrupt_id = this.state.value.runs[run_id]?.question?.interrupt_id;
    const answer = await this.#ask("answer", { run_id, value, interrupt_id });
    if (!answer.ok) this.#happen({ type: "answer_refused", run_id, message: answer.error.message });
  }

  /** Tells the others that somebody types here; may be called on every key. */
  typing(): void {
    const now = Date.now();
    if (now - this.#typedAt < TYPING_EVERY_MS || !this.#socket?.connected) return;
    this.#typedAt = now;
    this.#socket.volatile.emit("typing", { chat_id: this.chatId });
  }

  async loadOlder(): Promise<void> {
    const { older } = this.state.value;
    if (older === null) return;
    this.#happen({ type: "older", history: await api.getHistory(this.chatId, older) });
  }

  // What is known

  #happen(event: LocalEvent): void {
    const before = this.state.value;
    this.state.set(happen(before, event));
    if (this.state.value.outbox !== before.outbox) keepOutbox(this.chatId, this.state.value.outbox);
  }

  async #loadHistory(): Promise<boolean> {
    for (let attempt = 1; !this.#isClosed; attempt++) {
      try {
        const history = await api.getHistory(this.chatId);
        if (this.#isClosed) return false;
        this.#happen({ type: "history", history });
        this.#expected = 0;
        this.#gapAt = -1;
        return true;
      } catch (error) {
        if (!isPassing(error)) {
          this.#end(error);
          return false;
        }
        this.link.set("offline");
        await this.#pause("history", attempt);
      }
    }
    return false;
  }

  #end(error: unknown): void {
    this.failure.set(error instanceof ApiError ? error : new ApiError(0, "This chat cannot be shown."));
    this.link.set("ended");
  }

  // The socket

  #connect(): void {
    const socket = io("/chat", {
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      reconnectionDelay: 250,
      reconnectionDelayMax: LONGEST_PAUSE_MS,
      timeout: 10_000,
      auth: (give) => void this.#authenticate(give),
    });
    this.#socket = socket;
    for (const type of CHAT_EVENT_TYPES) socket.on(type, (event: object) => this.#receive({ ...event, type } as ChatEvent));
    socket.on("session", (session: SessionEvent) => this.#onSession(session));
    socket.on("typing", ({ user_id }: { user_id: string }) => this.#onTyping(user_id));
    socket.on("closed", (closed: ClosedEvent) => this.#onClosed(closed));
    socket.on("disconnect", () => this.#onDisconnect());
    socket.on("connect_error", () => this.#onDisconnect());
  }

  async #authenticate(give: (auth: object) => void): Promise<void> {
    const since = this.state.value.seq;
    const permit = this.#permit ?? (this.#session ? null : api.authorizeChat(this.chatId));
    this.#permit = null;
    if (!permit) return give({ chat_id: this.chatId, resume_token: this.#session!.resume_token, since });
    try {
      give({ connection_string: await permit, since });
    } catch (error) {
      if (isPassing(error)) return this.#reconnectLater();
      this.#close("read_only", "You can read this chat. Only its owner writes in it.");
    }
  }

  #onSession(session: SessionEvent): void {
    this.#session = session;
    this.#refusals = 0;
    this.link.set("online");
    this.#expect(session.last_seq);
    void this.#drain();
  }

  /** Called when the transport is cut, and when the server refuses or ends the connection. */
  #onDisconnect(): void {
    if (this.#isClosed || this.link.value === "ended") return;
    this.link.set("offline");
    if (this.#socket?.active) return;
    this.#session = null;
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    this.#refusals += 1;
    this.#socket?.disconnect();
    void this.#pause("connect", this.#refusals - 1).then(() => this.#socket?.connect());
  }

  #retryNow = (): void => {
    if (this.link.value !== "offline" || !this.#socket) return;
    clearTimeout(this.#timers.connect);
    this.#socket.disconnect();
    this.#socket.connect();
  };

  #onClosed({ code, message }: ClosedEvent): void {
    if (FOR_GOOD.has(code)) this.#close(code, message);
  }

  #close(code: string, message: string): void {
    this.#happen({ type: "closed", code, message });
    this.link.set("ended");
    this.#socket?.disconnect();
  }

  #onTyping(user_id: string): void {
    if (user_id === this.#session?.user_id) return;
    this.#happen({ type: "typing", user_id, until: Date.now() + TYPING_SHOWN_MS });
    this.#after("typing", TYPING_SHOWN_MS + 50, () => this.#happen({ type: "typing_over", now: Date.now() }));
  }

  #receive(event: ChatEvent): void {
    if (event.seq === undefined) return this.#onAside(event);
    const { seq } = this.state.value;
    if (event.seq > seq + 1) return this.#fillGap(seq, event.seq);
    const before = this.state.value;
    this.state.set(receive(before, event));
    if (this.state.value.outbox !== before.outbox) keepOutbox(this.chatId, this.state.value.outbox);
  }

  /** An event outside the log, for this socket alone. */
  #onAside(event: ChatEvent): void {
    if (event.type === "error" && event.code === LOG_TRIMMED) void this.#startAnew();
  }

  /** Asks once for what is missing after `seq`; what came too early comes again with it. */
  #fillGap(seq: number, seen: number): void {
    if (this.#gapAt !== seq) this.#socket?.emit("resume", { since: seq });
    this.#gapAt = seq;
    this.#expect(seen);
  }

  /** Events up to `seq` are on their way; should they not come, the history is loaded anew. */
  #expect(seq: number): void {
    this.#expected = Math.max(this.#expected, seq);
    const before = this.state.value.seq;
    if (before >= this.#expected || this.#timers.expect) return;
    this.#after("expect", CATCH_UP_MS, () => {
      if (this.link.value !== "online") return;
      if (this.state.value.seq === before) void this.#startAnew();
      else this.#expect(this.#expected);
    });
  }

  /** The server's log does not reach back far enough: what it has stored is shown, live events follow from there. */
  async #startAnew(): Promise<void> {
    if (!(await this.#loadHistory())) return;
    this.#socket?.emit("resume", { since: this.state.value.seq });
  }

  // What is sent

  /** Sends what waits, one by one and in order, until all is acknowledged or the connection is gone. */
  async #drain(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    let failures = 0;
    while (this.link.value === "online") {
      const next = this.state.value.outbox.find((each) => each.state === "waiting");
      if (!next) break;
      if (await this.#deliver(next)) failures = 0;
      else await this.#pause("send", failures++);
    }
    this.#isSending = false;
  }

  /** True when the server has said what became of the message; false when it has to be sent again. */
  async #deliver({ client_message_id, content, agent_id }: Outgoing): Promise<boolean> {
    const answer = await this.#permitted(client_message_id, content, agent_id);
    if (answer.ok) {
      this.#happen({ type: "acknowledged", client_message_id });
      return true;
    }
    if (STALE_STRING.has(answer.error.code) || PASSING.has(answer.error.code)) return false;
    this.#happen({ type: "refused", client_message_id, refusal: answer.error });
    return true;
  }

  async #permitted(client_message_id: string, content: string, agent_id?: string): Promise<Acknowledgement> {
    try {
      const message_string = await api.authorizeMessage(this.chatId);
      return await this.#ask("message", { message_string, content, agent_id, client_message_id });
    } catch (error) {
      const code = isPassing(error) ? "unavailable" : "refused";
      return { ok: false, error: { code, message: error instanceof ApiError ? error.detail : "The message could not be sent." } };
    }
  }

  async #ask(event: string, payload: object): Promise<Acknowledgement> {
    if (!this.#socket?.connected) return { ok: false, error: { code: "not_connected", message: "Not connected. Try again in a moment." } };
    try {
      return ((await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload)) as Acknowledgement | null) ?? { ok: true };
    } catch {
      return { ok: false, error: { code: "not_connected", message: "The server did not answer. Try again." } };
    }
  }

  // Time

  #pause(name: string, attempt: number): Promise<void> {
    const wait = Math.min(LONGEST_PAUSE_MS, attempt === 0 ? 50 : 300 * 2 ** attempt) * (0.75 + Math.random() / 2);
    return new Promise((resolve) => this.#after(name, wait, resolve));
  }

  #after(name: string, ms: number, work: () => void): void {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      if (!this.#isClosed) work();
    }, ms);
  }
}

/** True for a failure that may be over when asked again: no connection, too many requests, a server that restarts. */
function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}
