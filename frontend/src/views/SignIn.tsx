import { useEffect } from "preact/hooks";
import * as api from "../api";
import { Field, Form } from "../components/Field";
import { Logo } from "../components/Icon";
import { Problem } from "../components/Problem";
import { useAction } from "../resource";
import { href } from "../router";

/** The one view that shows without an account: signing in, or making one. */
export function SignIn({ isNew }: { isNew: boolean }) {
  const enter = useAction(async (email: string, password: string) => {
    if (isNew) await api.register(email, password);
    await api.login(email, password);
  });
  useEffect(() => {
    enter.clear();
    document.title = isNew ? "Create an account · Parley" : "Sign in · Parley";
  }, [isNew]);
  const fields = enter.error?.fields ?? {};
  return (
    <main class="gate">
      <div class="gate-card">
        <p class="brand">
          <Logo />
          Parley
        </p>
        <h1>{isNew ? "Create an account" : "Sign in"}</h1>
        <p class="note">{isNew ? "It lives on this server only." : "Talk to the agents that run on this server."}</p>
        <Form key={String(isNew)} onSubmit={({ email, password }) => void enter.run(email!, password!)}>
          <Field label="E-mail" name="email" type="email" autoComplete="username" errors={fields.email} autoFocus />
          <Field
            label="Password"
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            minLength={isNew ? 8 : undefined}
            hint={isNew ? "At least 8 characters." : undefined}
            errors={fields.password}
          />
          {!fields.email && !fields.password && <Problem error={enter.error} />}
          <button type="submit" class="main wide" disabled={enter.isBusy}>
            {isNew ? "Create account" : "Sign in"}
          </button>
        </Form>
        <p class="note center">
          {isNew ? "You have an account? " : "New here? "}
          <a href={href(isNew ? "signIn" : "register")}>{isNew ? "Sign in" : "Create an account"}</a>
        </p>
      </div>
    </main>
  );
}
