import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Room } from "../room";
import { href, useRoute } from "../router";
import { Icon, Logo } from "./Icon";
import { Sidebar } from "./Sidebar";

const NARROW = "(max-width: 52rem)";

function useIsNarrow(): boolean {
  const [query] = useState(() => matchMedia(NARROW));
  const [isNarrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const change = () => setNarrow(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, [query]);
  return isNarrow;
}

/** What stands around every page: the sidebar, or on a narrow screen a bar that opens it, and the one main region. */
export function Frame({ room, children }: { room: Room | null; children: ComponentChildren }) {
  const isNarrow = useIsNarrow();
  const main = useRef<HTMLElement>(null);
  useFocusOnNewPage(main);
  const skip = (event: Event) => {
    event.preventDefault();
    main.current?.focus();
  };
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      {isNarrow ? (
        <TopBar room={room} />
      ) : (
        <header class="sidebar">
          <Sidebar room={room} />
        </header>
      )}
      <main id="main" tabIndex={-1} ref={main}>
        {children}
      </main>
    </div>
  );
}

/** Moves the keyboard's place to the content when another page is shown, unless the page has taken it. */
function useFocusOnNewPage(main: { current: HTMLElement | null }): void {
  const route = useRoute();
  const isFirst = useRef(true);
  const address = JSON.stringify(route);
  useEffect(() => {
    if (!isFirst.current && !main.current?.contains(document.activeElement)) main.current?.focus();
    isFirst.current = false;
  }, [address]);
}

function TopBar({ room }: { room: Room | null }) {
  const [isOpen, setOpen] = useState(false);
  const route = useRoute();
  useEffect(() => setOpen(false), [route]);
  return (
    <header class="topbar">
      <button type="button" class="quiet square" aria-label="Menu" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        <Icon name="menu" />
      </button>
      <a class="brand" href={href("workspaces")}>
        <Logo />
        Parley
      </a>
      {isOpen && <Drawer room={room} onClose={() => setOpen(false)} />}
    </header>
  );
}

function Drawer({ room, onClose }: { room: Room | null; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const onClick = (event: MouseEvent) => {
    const target = event.target as HTMLElement;
    if (target === dialog.current || target.closest("a")) onClose();
  };
  return (
    <dialog ref={dialog} class="drawer" aria-label="Menu" onCancel={onClose} onClick={onClick}>
      <div class="sidebar">
        <Sidebar room={room} />
        <button type="button" class="quiet square drawer-close" aria-label="Close menu" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
    </dialog>
  );
}

/** The head of a page, with its actions beside it. */
export function PageHead({ title, note, children }: { title: string; note?: ComponentChildren; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = title === "Parley" ? title : `${title} · Parley`;
  }, [title]);
  return (
    <header class="page-head">
      <div>
        <h1>{title}</h1>
        {note && <p class="note">{note}</p>}
      </div>
      {children && <div class="row">{children}</div>}
    </header>
  );
}

/** Shown while the first answer is on its way; only when that takes long enough to be seen. */
export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      Loading {what}…
    </p>
  );
}
