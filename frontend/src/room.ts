/** The workspace that is open: loaded once, shared by the sidebar and the views. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import * as api from "./api";
import type { Agent, Chat, Workspace } from "./contract";
import { useResource, type Resource } from "./resource";

export interface Room {
  workspaceId: string;
  workspace: Resource<Workspace>;
  /** All agents that this server knows. */
  catalogue: Resource<Agent[]>;
  chats: Resource<Chat[]>;
  /** The agents of this workspace. */
  agents: Agent[];
  coordinator: Agent | null;
  isOwner: boolean;
  /** May hold chats here and change documents. */
  isEditor: boolean;
}

export const RoomContext = createContext<Room | null>(null);

export function useRoom(): Room {
  const room = useContext(RoomContext);
  if (!room) throw new Error("This view stands outside a workspace.");
  return room;
}

export function useLoadedRoom(workspaceId: string): Room {
  const workspace = useResource(() => api.getWorkspace(workspaceId), [workspaceId]);
  const catalogue = useResource(() => api.listAgents(), [workspaceId]);
  const chats = useResource(() => api.listChats(workspaceId), [workspaceId]);
  const agents = workspace.value ? agentsOf(workspace.value, catalogue.value ?? []) : [];
  const coordinator = agents.find((agent) => agent.agent_id === workspace.value?.coordinator_agent) ?? null;
  const role = workspace.value?.role;
  return {
    workspaceId,
    workspace,
    catalogue,
    chats,
    agents,
    coordinator,
    isOwner: role === "owner",
    isEditor: role === "owner" || role === "editor",
  };
}

function agentsOf(workspace: Workspace, catalogue: Agent[]): Agent[] {
  return (workspace.agents ?? []).map((agent_id) => catalogue.find((agent) => agent.agent_id === agent_id) ?? missing(agent_id));
}

function missing(agent_id: string): Agent {
  return { agent_id, name: agent_id, short_description: "", ready: false, needs: "This server does not have this agent." };
}
