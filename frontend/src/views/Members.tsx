import { useId } from "preact/hooks";
import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { Field, Form } from "../components/Field";
import { Loading, PageHead } from "../components/Frame";
import { Problem } from "../components/Problem";
import type { Member, Role } from "../contract";
import { useAction, useResource } from "../resource";
import { useRoom } from "../room";

const ROLES: Record<Role, string> = { owner: "Owner", editor: "Editor", viewer: "Viewer" };

/** Who else may enter the workspace. */
export function Members() {
  const { workspaceId, isOwner } = useRoom();
  const members = useResource(() => api.listMembers(workspaceId), [workspaceId]);
  const removal = useAction(async (member: Member) => {
    await api.removeMember(workspaceId, member.user_id);
    await members.reload();
    confirmDone(`${member.email} removed.`);
  });
  return (
    <div class="page">
      <PageHead title="Members" note="Editors hold chats of their own and add documents. Viewers read." />
      {isOwner && <Invite workspaceId={workspaceId} onAdded={members.reload} />}
      <Problem error={removal.error ?? members.error} />
      {!members.value && !members.error && <Loading what="members" />}
      {members.value?.length === 0 && <p class="nothing">Nobody but the owner.</p>}
      <ul class="list">
        {members.value?.map((member) => (
          <li class="list-row" key={member.user_id}>
            <span class="face" aria-hidden="true">
              {member.email.slice(0, 1).toUpperCase()}
            </span>
            <div class="grow">
              <h2 class="row-title">{member.email}</h2>
              <p class="note">{ROLES[member.role] ?? member.role}</p>
            </div>
            {isOwner && member.role !== "owner" && (
              <button
                type="button"
                class="quiet small"
                disabled={removal.isBusy}
                aria-label={`Remove ${member.email}`}
                onClick={() => void removal.run(member)}
              >
                Remove
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Invite({ workspaceId, onAdded }: { workspaceId: string; onAdded: () => Promise<void> }) {
  const id = useId();
  const invite = useAction(async (email: string, role: Role, form: HTMLFormElement) => {
    await api.addMember(workspaceId, email, role);
    form.reset();
    confirmDone(`${email} added.`);
    await onAdded();
  });
  return (
    <Form class="form inline" label="Add a member" onSubmit={({ email, role }, form) => void invite.run(email!, role as Role, form)}>
      <Field label="E-mail" name="email" type="email" autoComplete="off" errors={invite.error?.fields.email} />
      <div class="field">
        <label for={id}>Role</label>
        <select id={id} name="role">
          <option value="editor">Editor</option>
          <option value="viewer">Viewer</option>
        </select>
      </div>
      <button type="submit" class="main" disabled={invite.isBusy}>
        Add
      </button>
      {!invite.error?.fields.email && <Problem error={invite.error} />}
    </Form>
  );
}
