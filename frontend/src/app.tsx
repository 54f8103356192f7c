import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Announcer } from "./components/Announcer";
import { Frame, Loading, PageHead } from "./components/Frame";
import { Problem } from "./components/Problem";
import type { User } from "./contract";
import { credentials } from "./credentials";
import { identify, identity } from "./identity";
import { useObservable } from "./observable";
import { RoomContext, useLoadedRoom } from "./room";
import { href, replace, useRoute, type PageName, type Params } from "./router";
import { Account } from "./views/Account";
import { Agents } from "./views/Agents";
import { ChatView } from "./views/Chat";
import { Documents } from "./views/Documents";
import { Members } from "./views/Members";
import { SignIn } from "./views/SignIn";
import { WorkspaceHome } from "./views/WorkspaceHome";
import { Workspaces } from "./views/Workspaces";
import { WorkspaceSettings } from "./views/WorkspaceSettings";

export function App() {
  return (
    <>
      <Pages />
      <Announcer />
    </>
  );
}

function Pages() {
  const who = useObservable(identity);
  const { page, params } = useRoute();
  const isGate = page === "signIn" || page === "register";
  useEffect(() => {
    if (who.status === "known" && isGate) replace("workspaces");
  }, [who.status, isGate]);

  if (who.status === "unreachable") return <Unreachable />;
  if (who.status === "unknown") return <SignIn isNew={page === "register"} />;
  // With tokens at hand the page does not wait to hear whom they are for: a reload is back in its chat at once.
  if (isGate || (who.status === "asking" && !credentials.value)) return <Waiting />;
  if (params.workspaceId) return <RoomPages page={page} params={params} />;
  return <Frame room={null}>{VIEWS[page]?.(who.user) ?? <NotFound />}</Frame>;
}

/** Views outside a workspace. */
const VIEWS: Partial<Record<PageName | "notFound", (user: User | null) => ComponentChildren>> = {
  workspaces: () => <Workspaces />,
  account: (user) => (user ? <Account user={user} /> : <Loading what="your account" />),
};

/** Views of one workspace. */
const ROOM_VIEWS: Partial<Record<PageName | "notFound", (params: Params) => ComponentChildren>> = {
  workspace: () => <WorkspaceHome />,
  agents: () => <Agents />,
  documents: () => <Documents />,
  members: () => <Members />,
  settings: () => <WorkspaceSettings />,
  chat: ({ chatId }) => <ChatView key={chatId} chatId={chatId!} />,
};

function RoomPages({ page, params }: { page: PageName | "notFound"; params: Params }) {
  const room = useLoadedRoom(params.workspaceId!);
  const failure = room.workspace.error;
  return (
    <RoomContext.Provider value={room}>
      <Frame room={failure ? null : room}>
        {failure && !room.workspace.value ? (
          <div class="page">
            <PageHead title="This workspace cannot be shown" />
            <Problem error={failure} onRetry={() => void room.workspace.reload()} />
          </div>
        ) : (
          ROOM_VIEWS[page]?.(params)
        )}
      </Frame>
    </RoomContext.Provider>
  );
}

function NotFound() {
  return (
    <div class="page">
      <PageHead title="There is no such page" />
      <p>
        <a href={href("workspaces")}>Go to your workspaces</a>
      </p>
    </div>
  );
}

function Waiting() {
  return (
    <main class="gate">
      <h1 class="unseen">Parley</h1>
      <Loading what="Parley" />
    </main>
  );
}

function Unreachable() {
  return (
    <main class="gate">
      <div class="gate-card">
        <h1>The server cannot be reached</h1>
        <p class="note">Perhaps it is being restarted, or this device is offline.</p>
        <button type="button" class="main wide" onClick={() => void identify()}>
          Try again
        </button>
      </div>
    </main>
  );
}
