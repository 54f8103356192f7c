import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  label: string;
  name: string;
  type?: "text" | "email" | "password";
  value?: string;
  autoComplete?: string;
  hint?: string;
  errors?: string[];
  minLength?: number;
  maxLength?: number;
  isOptional?: boolean;
  autoFocus?: boolean;
  placeholder?: string;
}

/** A labelled input of a form; what the server says about it stands below and is tied to it. */
export function Field({ label, name, type = "text", value, hint, errors, isOptional, autoFocus, ...rest }: FieldProps) {
  const id = useId();
  const note = errors?.length ? errors.join(" ") : hint;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        type={type as "text"}
        defaultValue={value}
        required={!isOptional}
        aria-invalid={errors?.length ? true : undefined}
        aria-describedby={note ? `${id}-note` : undefined}
        autofocus={autoFocus}
        ref={autoFocus ? focus : undefined}
        {...rest}
      />
      {note && (
        <p id={`${id}-note`} class={errors?.length ? "note bad" : "note"}>
          {note}
        </p>
      )}
    </div>
  );
}

function focus(element: HTMLElement | null): void {
  element?.focus();
}

/** A form that gives its trimmed fields to `onSubmit`; passwords are given as typed. */
export function Form(props: {
  onSubmit: (fields: Record<string, string>, form: HTMLFormElement) => void;
  children: ComponentChildren;
  class?: string;
  label?: string;
}) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const entries = [...new FormData(form)].map(([name, value]) => [
      name,
      name.includes("password") ? String(value) : String(value).trim(),
    ]);
    props.onSubmit(Object.fromEntries(entries) as Record<string, string>, form);
  };
  return (
    <form class={props.class ?? "form"} aria-label={props.label} onSubmit={submit}>
      {props.children}
    </form>
  );
}
