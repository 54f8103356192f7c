import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { ConfirmButton } from "../components/Dialog";
import { Field, Form } from "../components/Field";
import { Loading, PageHead } from "../components/Frame";
import { Problem } from "../components/Problem";
import { useAction } from "../resource";
import { useRoom } from "../room";
import { go } from "../router";

export function WorkspaceSettings() {
  const { workspaceId, workspace, isOwner } = useRoom();
  const rename = useAction(async (name: string) => {
    await api.renameWorkspace(workspaceId, name);
    await workspace.reload();
    confirmDone("Workspace renamed.");
  });
  const removal = useAction(async () => {
    await api.deleteWorkspace(workspaceId);
    go("workspaces");
    confirmDone("Workspace deleted.");
  });
  if (!workspace.value) return workspace.error ? null : <Loading what="the workspace" />;
  return (
    <div class="page">
      <PageHead title="Settings" note={isOwner ? undefined : "Only the owner of the workspace changes these."} />
      {isOwner && (
        <>
          <section aria-labelledby="name">
            <h2 id="name">Name</h2>
            <Form class="form inline" onSubmit={({ name }) => void rename.run(name!)}>
              <Field
                key={workspace.value.name}
                label="Name of the workspace"
                name="name"
                value={workspace.value.name}
                maxLength={200}
                errors={rename.error?.fields.name}
              />
              <button type="submit" class="main" disabled={rename.isBusy}>
                Rename
              </button>
              {!rename.error?.fields.name && <Problem error={rename.error} />}
            </Form>
          </section>
          <section aria-labelledby="end">
            <h2 id="end">Delete the workspace</h2>
            <p class="note">Its chats, messages and documents are deleted with it.</p>
            <ConfirmButton
              label="Delete workspace"
              title={`Delete ${workspace.value.name}?`}
              text="All its chats, messages and documents are deleted. This cannot be taken back."
              action="Delete workspace"
              work={removal.run}
              error={removal.error}
              isBusy={removal.isBusy}
            />
          </section>
        </>
      )}
    </div>
  );
}
