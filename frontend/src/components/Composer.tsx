import { useEffect, useId, useRef, useState } from "preact/hooks";
import { addressee, candidates, completed, mentionAt, type Mention } from "../chat/mentions";
import type { Agent } from "../contract";
import { Icon } from "./Icon";

interface ComposerProps {
  agents: Agent[];
  coordinator: Agent | null;
  /** Where a half-written message is kept, so that a reload does not lose it. */
  draftKey: string;
  isDisabled?: boolean;
  onSend: (content: string, agentId?: string) => void;
  onTyping?: () => void;
  /** Given while an answer runs. */
  onStop?: () => void;
  isStopping?: boolean;
}

export function Composer({ agents, coordinator, draftKey, isDisabled, onSend, onTyping, onStop, isStopping }: ComposerProps) {
  const [text, setText] = useState(() => sessionStorage.getItem(draftKey) ?? "");
  const area = useRef<HTMLTextAreaElement>(null);
  const completion = useCompletion(agents, area, setText);
  const id = useId();
  const target = addressee(text, agents) ?? coordinator;

  useEffect(() => {
    if (text) sessionStorage.setItem(draftKey, text);
    else sessionStorage.removeItem(draftKey);
    if (area.current) grow(area.current);
  }, [text, draftKey]);
  useEffect(() => area.current?.focus({ preventScroll: true }), [draftKey]);

  const send = () => {
    const content = text.trim();
    if (!content || isDisabled) return;
    onSend(content, addressee(content, agents)?.agent_id);
    setText("");
    completion.close();
    area.current?.focus();
  };
  const onInput = (event: Event) => {
    const { value, selectionStart } = event.currentTarget as HTMLTextAreaElement;
    setText(value);
    completion.look(value, selectionStart);
    if (value) onTyping?.();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || completion.onKey(event)) return;
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {completion.found.length > 0 && (
        <Choices id={`${id}-agents`} found={completion.found} active={completion.active} onPick={completion.pick} />
      )}
      <div class="composer-box">
        <label class="unseen" for={id}>
          Message
        </label>
        <textarea
          id={id}
          ref={area}
          rows={1}
          value={text}
          placeholder="Write a message"
          aria-describedby={`${id}-hint`}
          aria-autocomplete="list"
          aria-controls={completion.found.length ? `${id}-agents` : undefined}
          aria-activedescendant={completion.found.length ? `${id}-agents-${completion.active}` : undefined}
          disabled={isDisabled}
          onInput={onInput}
          onKeyDown={onKeyDown}
          onBlur={completion.close}
        />
        {onStop && (
          <button type="button" class="stop" disabled={isStopping} onClick={onStop}>
            <Icon name="stop" />
            {isStopping ? "Stopping…" : "Stop"}
          </button>
        )}
        <button type="submit" class="send" aria-label="Send" title="Send" disabled={isDisabled || !text.trim()}>
          <Icon name="send" />
        </button>
      </div>
      <Hint id={`${id}-hint`} agents={agents} target={target} />
    </form>
  );
}

function Hint({ id, agents, target }: { id: string; agents: Agent[]; target: Agent | null }) {
  const isMissing = target && !target.ready;
  return (
    <p class={isMissing ? "composer-hint warn" : "composer-hint"} id={id}>
      {target &&
        (isMissing ? (
          <span>{`${target.name}: ${sentence(target.needs ?? "not ready.")}`}</span>
        ) : (
          <span>{`${target.name} will answer.`}</span>
        ))}
      {agents.length > 1 && <span class="keys">@ picks another agent</span>}
      <span class="keys">Shift+Enter for a new line</span>
    </p>
  );
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function Choices({ id, found, active, onPick }: { id: string; found: Agent[]; active: number; onPick: (agent: Agent) => void }) {
  return (
    <ul class="choices" id={id} role="listbox" aria-label="Agents">
      {found.map((agent, index) => (
        <li
          key={agent.agent_id}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === active}
          onMouseDown={(event) => {
            event.preventDefault();
            onPick(agent);
          }}
        >
          <strong>{agent.name}</strong>
          <span>{agent.needs ?? agent.short_description}</span>
        </li>
      ))}
    </ul>
  );
}

/** The list of agents below a half-typed `@name`, and the keys that work it. */
function useCompletion(agents: Agent[], area: { current: HTMLTextAreaElement | null }, setText: (text: string) => void) {
  const [mention, setMention] = useState<Mention | null>(null);
  const [active, setActive] = useState(0);
  const found = mention ? candidates(agents, mention.query) : [];
  const close = () => setMention(null);
  const look = (text: string, caret: number) => {
    setMention(mentionAt(text, caret));
    setActive(0);
  };
  const pick = (agent: Agent) => {
    if (!mention || !area.current) return;
    const next = completed(area.current.value, mention, area.current.selectionStart, agent);
    area.current.value = next.text;
    area.current.setSelectionRange(next.caret, next.caret);
    setText(next.text);
    close();
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => setActive((active + 1) % found.length),
    ArrowUp: () => setActive((active + found.length - 1) % found.length),
    Enter: () => pick(found[active]!),
    Tab: () => pick(found[active]!),
    Escape: close,
  };
  const onKey = (event: KeyboardEvent): boolean => {
    const work = found.length && !event.shiftKey ? keys[event.key] : undefined;
    if (!work) return false;
    event.preventDefault();
    work();
    return true;
  };
  return { found, active, close, look, pick, onKey };
}

/** As high as its text, up to what the style sheet allows. */
function grow(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
