import { useState } from "preact/hooks";
import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { ConfirmButton, Dialog } from "../components/Dialog";
import { Field, Form } from "../components/Field";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { Problem } from "../components/Problem";
import type { ApiKey, User } from "../contract";
import { keepTokens } from "../credentials";
import { when } from "../dates";
import { identify } from "../identity";
import { useAction, useResource } from "../resource";

export function Account({ user }: { user: User }) {
  return (
    <div class="page">
      <PageHead title="Account" note={user.email} />
      <EmailForm user={user} />
      <PasswordForm />
      <ApiKeys />
      <section aria-labelledby="reference">
        <h2 id="reference">For programs</h2>
        <p class="note">
          The whole interface of this server: <a href="/docs">to try out</a>, <a href="/redoc">to read</a>,{" "}
          <a href="/openapi.json">as OpenAPI</a>.
        </p>
      </section>
      <Ending />
    </div>
  );
}

function EmailForm({ user }: { user: User }) {
  const change = useAction(async (email: string) => {
    await api.changeEmail(email);
    await identify();
    confirmDone("E-mail changed.");
  });
  return (
    <section aria-labelledby="email">
      <h2 id="email">E-mail</h2>
      <Form class="form inline" onSubmit={({ email }) => void change.run(email!)}>
        <Field
          key={user.email}
          label="Your e-mail"
          name="email"
          type="email"
          value={user.email}
          autoComplete="email"
          errors={change.error?.fields.email}
        />
        <button type="submit" class="main" disabled={change.isBusy}>
          Change e-mail
        </button>
        {!change.error?.fields.email && <Problem error={change.error} />}
      </Form>
    </section>
  );
}

function PasswordForm() {
  const change = useAction(async (before: string, after: string, form: HTMLFormElement) => {
    await api.changePassword(before, after);
    form.reset();
    confirmDone("Password changed. Other sign-ins have ended.");
  });
  const fields = change.error?.fields ?? {};
  return (
    <section aria-labelledby="password">
      <h2 id="password">Password</h2>
      <Form onSubmit={({ old_password, new_password }, form) => void change.run(old_password!, new_password!, form)}>
        <Field label="Present password" name="old_password" type="password" autoComplete="current-password" errors={fields.old_password} />
        <Field
          label="New password"
          name="new_password"
          type="password"
          autoComplete="new-password"
          minLength={8}
          hint="At least 8 characters."
          errors={fields.new_password}
        />
        {!fields.old_password && !fields.new_password && <Problem error={change.error} />}
        <div class="row">
          <button type="submit" class="main" disabled={change.isBusy}>
            Change password
          </button>
        </div>
      </Form>
    </section>
  );
}

function ApiKeys() {
  const keys = useResource(() => api.listApiKeys(), []);
  const [made, setMade] = useState<string | null>(null);
  const create = useAction(async (name: string, form: HTMLFormElement) => {
    setMade((await api.createApiKey(name)).api_key);
    form.reset();
    await keys.reload();
  });
  return (
    <section aria-labelledby="keys">
      <h2 id="keys">API keys</h2>
      <p class="note">For programs that speak to this server in your name.</p>
      <Form class="form inline" label="New API key" onSubmit={({ name }, form) => void create.run(name!, form)}>
        <Field
          label="Name of the key"
          name="name"
          maxLength={200}
          placeholder="Laptop"
          autoComplete="off"
          errors={create.error?.fields.name}
        />
        <button type="submit" class="main" disabled={create.isBusy}>
          Create key
        </button>
        {!create.error?.fields.name && <Problem error={create.error} />}
      </Form>
      <Problem error={keys.error} onRetry={() => void keys.reload()} />
      {!keys.value && !keys.error && <Loading what="keys" />}
      <ul class="list">
        {keys.value?.map((key) => (
          <KeyRow key={key.key_id} apiKey={key} onDeleted={keys.reload} />
        ))}
      </ul>
      {made && <NewKey value={made} onClose={() => setMade(null)} />}
    </section>
  );
}

function KeyRow({ apiKey, onDeleted }: { apiKey: ApiKey; onDeleted: () => Promise<void> }) {
  const removal = useAction(async () => {
    await api.deleteApiKey(apiKey.key_id);
    confirmDone(`Key ${apiKey.name} deleted.`);
    await onDeleted();
  });
  return (
    <li class="list-row">
      <div class="grow">
        <h3>{apiKey.name}</h3>
        <p class="note">
          {[apiKey.created_at && `made ${when(apiKey.created_at)}`, apiKey.last_used_at && `used ${when(apiKey.last_used_at)}`]
            .filter(Boolean)
            .join(" · ")}
        </p>
      </div>
      <ConfirmButton
        icon
        label={`Delete key ${apiKey.name}`}
        title="Delete this key?"
        text={`Programs that use ${apiKey.name} are refused from now on.`}
        action="Delete key"
        work={removal.run}
        error={removal.error}
        isBusy={removal.isBusy}
      />
    </li>
  );
}

function NewKey({ value, onClose }: { value: string; onClose: () => void }) {
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    confirmDone("Key copied.");
  };
  return (
    <Dialog title="Your new API key" onClose={onClose}>
      <p>Copy it now: it is shown this once, and the server keeps no readable copy.</p>
      <div class="row wrap">
        <input class="grow code" readOnly value={value} aria-label="API key" onFocus={(event) => event.currentTarget.select()} />
        {navigator.clipboard && (
          <button type="button" class="plain" onClick={() => void copy()}>
            <Icon name="copy" />
            Copy
          </button>
        )}
      </div>
      <div class="row end">
        <button type="button" class="main" onClick={onClose}>
          I have kept it
        </button>
      </div>
    </Dialog>
  );
}

function Ending() {
  const [isOpen, setOpen] = useState(false);
  const removal = useAction(async (password: string) => {
    await api.deleteAccount(password);
    keepTokens(null);
    confirmDone("Account deleted.");
  });
  return (
    <section aria-labelledby="end">
      <h2 id="end">Delete the account</h2>
      <p class="note">Your workspaces, chats and documents are deleted with it.</p>
      <button type="button" class="plain danger-text" onClick={() => setOpen(true)}>
        Delete account
      </button>
      {isOpen && (
        <Dialog title="Delete your account?" onClose={() => setOpen(false)}>
          <p>Everything you own here is deleted. This cannot be taken back.</p>
          <Form onSubmit={({ password }) => void removal.run(password!)}>
            <Field
              label="Your password"
              name="password"
              type="password"
              autoComplete="current-password"
              errors={removal.error?.fields.password}
              autoFocus
            />
            {!removal.error?.fields.password && <Problem error={removal.error} />}
            <div class="row end">
              <button type="button" class="plain" onClick={() => setOpen(false)}>
                Cancel
              </button>
              <button type="submit" class="danger" disabled={removal.isBusy}>
                Delete account
              </button>
            </div>
          </Form>
        </Dialog>
      )}
    </section>
  );
}
