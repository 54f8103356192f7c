import { Observable, useObservable } from "../observable";

const said = new Observable<{ text: string; turn: number }>({ text: "", turn: 0 });

/** Shown for a moment to everybody; see Toast. */
const shown = new Observable<{ text: string; turn: number }>({ text: "", turn: 0 });

/** Says something to screen readers when they are free. */
export function announce(text: string): void {
  said.set({ text, turn: said.value.turn + 1 });
}

/** Shows a short confirmation for some seconds, and says it. */
export function confirmDone(text: string): void {
  const turn = shown.value.turn + 1;
  shown.set({ text, turn });
  setTimeout(() => shown.value.turn === turn && shown.set({ text: "", turn }), 4000);
}

export function Announcer() {
  const { text, turn } = useObservable(said);
  const toast = useObservable(shown);
  return (
    <>
      <div class="unseen" role="status" aria-live="polite">
        <span key={turn}>{text}</span>
      </div>
      <div class="toasts" role="status" aria-live="polite">
        {toast.text && (
          <span class="toast" key={toast.turn}>
            {toast.text}
          </span>
        )}
      </div>
    </>
  );
}
