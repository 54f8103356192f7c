import { useId, useState } from "preact/hooks";
import { decided, formOf, type Action, type Decision } from "../chat/approvals";
import type { Question } from "../chat/state";
import type { Json } from "../contract";
import { Icon } from "./Icon";

interface AskProps {
  question: Question;
  agent: string;
  onAnswer: (value: Json) => void;
}

/** A question of an agent, answered where it is asked. */
export function Ask({ question, agent, onAnswer }: AskProps) {
  const form = formOf(question.value);
  const label = useId();
  return (
    <section class="ask" aria-labelledby={label} aria-busy={question.isSent}>
      <h2 id={label}>{form.kind === "approval" ? `${agent} asks for your approval` : `${agent} asks you`}</h2>
      <fieldset disabled={question.isSent}>
        {form.kind === "approval" && <Approval actions={form.actions} onAnswer={onAnswer} />}
        {form.kind === "choice" && <Choice question={form.question} choices={form.choices} onAnswer={onAnswer} />}
        {form.kind === "text" && <Reply question={form.question} onAnswer={onAnswer} />}
        {form.kind === "value" && <Reply value={form.value} onAnswer={onAnswer} />}
      </fieldset>
      {question.isSent && <p class="note">Answer sent.</p>}
      {question.refusal && (
        <p class="note bad" role="alert">
          {question.refusal}
        </p>
      )}
    </section>
  );
}

function Choice({ question, choices, onAnswer }: { question: string; choices: string[]; onAnswer: (value: Json) => void }) {
  return (
    <>
      <p>{question}</p>
      <div class="row wrap">
        {choices.map((choice) => (
          <button type="button" class="plain" key={choice} onClick={() => onAnswer(choice)}>
            {choice}
          </button>
        ))}
      </div>
    </>
  );
}

function Reply({ question, value, onAnswer }: { question?: string; value?: Json; onAnswer: (value: Json) => void }) {
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const answer = new FormData(event.currentTarget as HTMLFormElement).get("answer");
    if (String(answer).trim()) onAnswer(String(answer).trim());
  };
  return (
    <form onSubmit={submit}>
      {value !== undefined && <Value value={value} />}
      <label for={id}>{question ?? "Your answer"}</label>
      <div class="row">
        <input id={id} name="answer" class="grow" autocomplete="off" required />
        <button type="submit" class="main">
          Answer
        </button>
      </div>
    </form>
  );
}

/** One decision for each action; a single action is decided by its button at once. */
function Approval({ actions, onAnswer }: { actions: Action[]; onAnswer: (value: Json) => void }) {
  const [decisions, setDecisions] = useState<(Decision | null)[]>(() => actions.map(() => null));
  const decide = (index: number, decision: Decision) => {
    const next = decisions.map((each, place) => (place === index ? decision : each));
    setDecisions(next);
    if (next.every((each) => each !== null)) onAnswer(decided(next as Decision[]));
  };
  return (
    <ol class="actions">
      {actions.map((action, index) => (
        <li key={index}>
          <ActionCard action={action} decision={decisions[index] ?? null} onDecide={(decision) => decide(index, decision)} />
        </li>
      ))}
    </ol>
  );
}

type Mode = "choose" | "edit" | "reject";

function ActionCard({ action, decision, onDecide }: { action: Action; decision: Decision | null; onDecide: (decision: Decision) => void }) {
  const [mode, setMode] = useState<Mode>("choose");
  return (
    <>
      <p class="action-name">
        <code>{action.name}</code>
        {decision && <span class="chip">{DECIDED[decision.type]}</span>}
      </p>
      {action.description && <p class="action-text">{action.description}</p>}
      {mode !== "edit" && <Value value={action.args} />}
      {mode === "choose" && <Decisions action={action} decision={decision} onDecide={onDecide} onMode={setMode} />}
      {mode === "edit" && <Edit action={action} onDecide={onDecide} onBack={() => setMode("choose")} />}
      {mode === "reject" && <Reject onDecide={onDecide} onBack={() => setMode("choose")} />}
    </>
  );
}

const DECIDED: Record<Decision["type"], string> = { approve: "Approved", edit: "Approved with changes", reject: "Rejected" };

function Decisions(props: {
  action: Action;
  decision: Decision | null;
  onDecide: (decision: Decision) => void;
  onMode: (mode: Mode) => void;
}) {
  const allows = (type: Decision["type"]) => props.action.allowed.includes(type);
  return (
    <div class="row wrap">
      {allows("approve") && (
        <button type="button" class="main" onClick={() => props.onDecide({ type: "approve" })}>
          <Icon name="check" />
          Approve
        </button>
      )}
      {allows("reject") && (
        <button type="button" class="plain" onClick={() => props.onMode("reject")}>
          Reject
        </button>
      )}
      {allows("edit") && (
        <button type="button" class="quiet" onClick={() => props.onMode("edit")}>
          Change first
        </button>
      )}
    </div>
  );
}

function Reject({ onDecide, onBack }: { onDecide: (decision: Decision) => void; onBack: () => void }) {
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const message = String(new FormData(event.currentTarget as HTMLFormElement).get("reason")).trim();
    onDecide(message ? { type: "reject", message } : { type: "reject" });
  };
  return (
    <form onSubmit={submit}>
      <label for={id}>What should the agent know? (optional)</label>
      <input id={id} name="reason" autocomplete="off" ref={focus} />
      <div class="row">
        <button type="submit" class="danger">
          Reject
        </button>
        <button type="button" class="quiet" onClick={onBack}>
          Back
        </button>
      </div>
    </form>
  );
}

function Edit({ action, onDecide, onBack }: { action: Action; onDecide: (decision: Decision) => void; onBack: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    try {
      const args = JSON.parse(String(new FormData(event.currentTarget as HTMLFormElement).get("args"))) as Json;
      onDecide({ type: "edit", edited_action: { name: action.name, args } });
    } catch {
      setProblem("This is not valid JSON.");
    }
  };
  return (
    <form onSubmit={submit}>
      <label for={id}>Arguments, as JSON</label>
      <textarea
        id={id}
        name="args"
        rows={6}
        class="code"
        ref={focus}
        defaultValue={JSON.stringify(action.args, null, 2)}
        aria-invalid={problem ? true : undefined}
        aria-describedby={problem ? `${id}-note` : undefined}
      />
      {problem && (
        <p class="note bad" id={`${id}-note`} role="alert">
          {problem}
        </p>
      )}
      <div class="row">
        <button type="submit" class="main">
          Approve with changes
        </button>
        <button type="button" class="quiet" onClick={onBack}>
          Back
        </button>
      </div>
    </form>
  );
}

function focus(element: HTMLElement | null): void {
  element?.focus();
}

/** A JSON value for the eye: the fields of an object one below the other, anything else as it is. */
function Value({ value }: { value: Json }) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return <pre tabIndex={0}>{plain(value)}</pre>;
  const fields = Object.entries(value);
  if (!fields.length) return null;
  return (
    <dl class="fields">
      {fields.map(([name, field]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{plain(field)}</dd>
        </div>
      ))}
    </dl>
  );
}

function plain(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
