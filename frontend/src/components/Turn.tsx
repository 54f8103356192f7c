import { Markdown } from "../chat/markdown";
import { isInProgress, type Failure, type Outgoing, type Run, type Step } from "../chat/state";
import type { Json, Message } from "../contract";
import { count, when } from "../dates";
import { Ask } from "./Approval";
import { Icon } from "./Icon";

/** A message of a person. */
export function QuestionTurn({ message, author }: { message: Message; author: string | null }) {
  return (
    <article class="turn question" aria-label={`Message of ${author ?? "you"}`}>
      {author && <p class="by">{author}</p>}
      <div class="bubble" title={when(message.created_at)}>
        {message.content}
      </div>
    </article>
  );
}

/** A message on its way: shown as sent, and marked while the server has not taken it. */
export function OutgoingTurn(props: { outgoing: Outgoing; isOnline: boolean; onAgain: () => void; onDiscard: () => void }) {
  const { outgoing, isOnline } = props;
  const isRefused = outgoing.state === "refused";
  return (
    <article class={isRefused ? "turn question refused" : "turn question"} aria-label="Message of you">
      <div class="bubble">{outgoing.content}</div>
      {isRefused ? (
        <p class="under bad" role="alert">
          <span>Not sent. {outgoing.refusal?.message}</span>
          <button type="button" class="plain small" onClick={props.onAgain}>
            Try again
          </button>
          <button type="button" class="quiet small" onClick={props.onDiscard}>
            Discard
          </button>
        </p>
      ) : (
        <p class="under late">{isOnline ? "Sending…" : "Waits for the connection."}</p>
      )}
    </article>
  );
}

interface AnswerProps {
  run: Run | null;
  message: Message | null;
  agent: string;
  onAnswer: (value: Json) => void;
  onRetry?: () => void;
}

/** An agent's answer: streamed while it is made, then as it was stored. */
export function AnswerTurn({ run, message, agent, onAnswer, onRetry }: AnswerProps) {
  const text = message?.content ?? run?.draft?.text ?? "";
  const isBusy = run !== null && isInProgress(run) && !run.hasAnswer;
  return (
    <article class="turn answer" aria-label={`Answer of ${agent}`} aria-busy={isBusy}>
      <p class="by">
        <span class="face" aria-hidden="true">
          {agent.slice(0, 1).toUpperCase()}
        </span>
        {agent}
        {message && <time dateTime={message.created_at}>{when(message.created_at)}</time>}
      </p>
      {run && <Steps steps={run.steps} restarts={run.restarts} isBusy={isBusy && !run.question} isQuiet={text !== ""} />}
      {text && <Markdown text={text} />}
      {run?.question && <Ask key={run.question.interrupt_id} question={run.question} agent={agent} onAnswer={onAnswer} />}
      {run && !message && <Ending run={run} onRetry={onRetry} />}
      {message?.partial && <p class="under">{ENDINGS.cancelled}</p>}
    </article>
  );
}

/** What the agent is doing, in one quiet line; the whole list on demand. */
function Steps({ steps, restarts, isBusy, isQuiet }: { steps: Step[]; restarts: number; isBusy: boolean; isQuiet: boolean }) {
  const current = steps.findLast((step) => !step.isDone);
  if (!steps.length && !isBusy) return null;
  const line = current ? spoken(current.name) : "Thinking";
  const label = isBusy ? (isQuiet && !current ? "Writing" : line) : count(steps.length, "step");
  const again = restarts ? " · taken up again after a failure of the server" : "";
  if (!steps.length)
    return (
      <p class="steps">
        <Doing label={label} note={again} isBusy={isBusy} />
      </p>
    );
  return (
    <details class="steps">
      <summary>
        <Doing label={label} note={again} isBusy={isBusy} />
      </summary>
      <ol>
        {steps.map((step) => (
          <li key={step.seq} class={step.isDone ? "done" : "current"}>
            {spoken(step.name)}
          </li>
        ))}
      </ol>
    </details>
  );
}

function Doing({ label, note, isBusy }: { label: string; note: string; isBusy: boolean }) {
  return (
    <>
      {isBusy && <span class="pulse" aria-hidden="true" />}
      {label}
      {isBusy && "…"}
      {note}
    </>
  );
}

/** "retrieve_documents" as "Retrieve documents". */
function spoken(name: string): string {
  const words = name.replace(/[_\-.:]+/g, " ").trim() || "Step";
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const ENDINGS: Partial<Record<Run["status"], string>> = {
  cancelled: "Stopped.",
  timeout: "The agent took too long and was ended.",
  error: "The agent failed to answer.",
};

function Ending({ run, onRetry }: { run: Run; onRetry?: () => void }) {
  if (run.failure) return <FailureNote failure={run.failure} onRetry={isInProgress(run) ? undefined : onRetry} />;
  const text = ENDINGS[run.status];
  return text ? <p class="under">{text}</p> : null;
}

/** Something went wrong, said where it happened. */
export function FailureNote({ failure, onRetry }: { failure: Failure; onRetry?: () => void }) {
  return (
    <div class="problem">
      <Icon name="warn" />
      <span>{failure.message}</span>
      {failure.isRetryable && onRetry && (
        <button type="button" class="plain small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
