import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { Problem } from "../components/Problem";
import type { Agent } from "../contract";
import { useAction } from "../resource";
import { useRoom } from "../room";

/** Which agents work in the workspace, and which of them answers when nobody is named. */
export function Agents() {
  const room = useRoom();
  const change = useAction(async (work: () => Promise<unknown>, done: string) => {
    await work();
    await room.workspace.reload();
    confirmDone(done);
  });
  const outside = (room.catalogue.value ?? []).filter((agent) => !room.agents.some((each) => each.agent_id === agent.agent_id));
  const id = room.workspaceId;
  return (
    <div class="page">
      <PageHead title="Agents" note="The default agent answers, unless a message names another one with @." />
      {!room.isOwner && room.workspace.value && <p class="note">Only the owner of the workspace changes its agents.</p>}
      <Problem error={change.error ?? room.catalogue.error} />
      {!room.catalogue.value && !room.catalogue.error && <Loading what="agents" />}
      <section aria-labelledby="inside">
        <h2 id="inside">In this workspace</h2>
        {room.workspace.value && !room.agents.length && <p class="nothing">No agent yet. Add one below.</p>}
        <ul class="list">
          {room.agents.map((agent) => (
            <AgentRow key={agent.agent_id} agent={agent} isCoordinator={agent === room.coordinator}>
              {room.isOwner && agent !== room.coordinator && (
                <button
                  type="button"
                  class="plain small"
                  disabled={change.isBusy}
                  aria-label={`Make default: ${agent.name}`}
                  onClick={() => void change.run(() => api.setCoordinator(id, agent.agent_id), `${agent.name} now answers by default.`)}
                >
                  Make default
                </button>
              )}
              {room.isOwner && (
                <button
                  type="button"
                  class="quiet small"
                  disabled={change.isBusy}
                  aria-label={`Remove ${agent.name}`}
                  onClick={() => void change.run(() => api.removeAgent(id, agent.agent_id), `${agent.name} removed.`)}
                >
                  Remove
                </button>
              )}
            </AgentRow>
          ))}
        </ul>
      </section>
      {outside.length > 0 && (
        <section aria-labelledby="outside">
          <h2 id="outside">Also on this server</h2>
          <ul class="list">
            {outside.map((agent) => (
              <AgentRow key={agent.agent_id} agent={agent} isCoordinator={false}>
                {room.isOwner && (
                  <button
                    type="button"
                    class="plain small"
                    disabled={change.isBusy}
                    aria-label={`Add ${agent.name}`}
                    onClick={() => void change.run(() => api.addAgent(id, agent.agent_id), `${agent.name} added.`)}
                  >
                    <Icon name="plus" />
                    Add
                  </button>
                )}
              </AgentRow>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function AgentRow({ agent, isCoordinator, children }: { agent: Agent; isCoordinator: boolean; children?: preact.ComponentChildren }) {
  return (
    <li class="list-row">
      <span class="face" aria-hidden="true">
        {agent.name.slice(0, 1).toUpperCase()}
      </span>
      <div class="grow">
        <h3>
          {agent.name} <code class="handle">@{agent.agent_id}</code>
          {isCoordinator && <span class="chip">Default</span>}
        </h3>
        <p class="note">{agent.short_description}</p>
        {agent.needs && (
          <p class="needs">
            <Icon name="warn" />
            {agent.needs}
          </p>
        )}
      </div>
      <div class="row">{children}</div>
    </li>
  );
}
