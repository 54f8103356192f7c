import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api";
import { Icon } from "./Icon";
import { Problem } from "./Problem";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/** A modal dialog for as long as it is drawn; Escape and a click beside it call `onClose`. */
export function Dialog({ title, onClose, children, class: className = "" }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const label = useId();
  useLayoutEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${className}`}
      aria-labelledby={label}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={label}>{title}</h2>
          <button type="button" class="quiet square" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  action: string;
  isBusy?: boolean;
  error?: ApiError | null;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, children, action, isBusy, error, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{children}</p>
      <Problem error={error ?? null} />
      <div class="row end">
        <button type="button" class="plain" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={onConfirm}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}

/** A button that asks first. `work` answers whether it went well; the dialog stays open when it did not. */
export function ConfirmButton(props: {
  label: string;
  icon?: boolean;
  title: string;
  text: string;
  action: string;
  work: () => Promise<boolean>;
  error: ApiError | null;
  isBusy: boolean;
}) {
  const [isOpen, setOpen] = useState(false);
  const confirm = async () => {
    if (await props.work()) setOpen(false);
  };
  return (
    <>
      <button
        type="button"
        class={props.icon ? "quiet square" : "plain danger-text"}
        aria-label={props.icon ? props.label : undefined}
        title={props.icon ? props.label : undefined}
        onClick={() => setOpen(true)}
      >
        {props.icon ? <Icon name="trash" /> : props.label}
      </button>
      {isOpen && (
        <Confirm
          title={props.title}
          action={props.action}
          isBusy={props.isBusy}
          error={props.error}
          onConfirm={confirm}
          onClose={() => setOpen(false)}
        >
          {props.text}
        </Confirm>
      )}
    </>
  );
}
