import { useState } from "preact/hooks";
import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { Dialog } from "../components/Dialog";
import { Field, Form } from "../components/Field";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { Problem } from "../components/Problem";
import type { Workspace } from "../contract";
import { count } from "../dates";
import { useAction, useResource } from "../resource";
import { go, href } from "../router";

export function Workspaces() {
  const workspaces = useResource(() => api.listWorkspaces(), []);
  const [isCreating, setCreating] = useState(false);
  return (
    <div class="page">
      <PageHead title="Workspaces" note="A workspace holds agents, documents and the chats about them.">
        <button type="button" class="main" onClick={() => setCreating(true)}>
          <Icon name="plus" />
          New workspace
        </button>
      </PageHead>
      <Problem error={workspaces.error} onRetry={() => void workspaces.reload()} />
      {!workspaces.value && !workspaces.error && <Loading what="workspaces" />}
      {workspaces.value?.length === 0 && <Nothing onCreate={() => setCreating(true)} />}
      <ul class="cards">
        {workspaces.value?.map((workspace) => (
          <Card key={workspace.workspace_id} workspace={workspace} />
        ))}
      </ul>
      {isCreating && <Create onClose={() => setCreating(false)} />}
    </div>
  );
}

function Card({ workspace }: { workspace: Workspace }) {
  return (
    <li>
      <a class="card" href={href("workspace", { workspaceId: workspace.workspace_id })}>
        <h2 class="clip">{workspace.name}</h2>
        <p class="note">
          {workspace.agents ? count(workspace.agents.length, "agent") : "Open"}
          {workspace.role !== "owner" && " · shared with you"}
        </p>
      </a>
    </li>
  );
}

function Nothing({ onCreate }: { onCreate: () => void }) {
  return (
    <div class="nothing">
      <p>You have no workspace yet. Make one, give it agents and documents, and begin to talk.</p>
      <button type="button" class="plain" onClick={onCreate}>
        Make the first workspace
      </button>
    </div>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const create = useAction(async (name: string) => {
    const workspace = await api.createWorkspace(name);
    await api.furnish(workspace.workspace_id);
    go("workspace", { workspaceId: workspace.workspace_id });
    confirmDone("Workspace created.");
  });
  return (
    <Dialog title="New workspace" onClose={onClose}>
      <Form onSubmit={({ name }) => void create.run(name!)}>
        <Field label="Name" name="name" maxLength={200} placeholder="Research" isOptional errors={create.error?.fields.name} autoFocus />
        {!create.error?.fields.name && <Problem error={create.error} />}
        <div class="row end">
          <button type="button" class="plain" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={create.isBusy}>
            Create
          </button>
        </div>
      </Form>
    </Dialog>
  );
}
