import { useRef, useState } from "preact/hooks";
import * as api from "../api";
import { confirmDone } from "../components/Announcer";
import { ConfirmButton } from "../components/Dialog";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { Problem } from "../components/Problem";
import type { Document } from "../contract";
import { count, size, when } from "../dates";
import { useAction, useResource } from "../resource";
import { useRoom } from "../room";

/** The documents that agents of the workspace may cite. */
export function Documents() {
  const { workspaceId, isEditor } = useRoom();
  const documents = useResource(() => api.listDocuments(workspaceId), [workspaceId]);
  const upload = useAction(async (files: File[]) => {
    for (const file of files) await api.uploadDocument(workspaceId, file);
    confirmDone(files.length === 1 ? `${files[0]!.name} added.` : `${files.length} documents added.`);
  });
  const take = async (files: File[]) => {
    if (!files.length) return;
    await upload.run(files);
    await documents.reload();
  };
  return (
    <div class="page">
      <PageHead title="Documents" note="Agents of this workspace answer from these, and cite them." />
      {isEditor && <DropZone isBusy={upload.isBusy} onFiles={take} />}
      <Problem error={upload.error ?? documents.error} />
      {!documents.value && !documents.error && <Loading what="documents" />}
      {documents.value?.length === 0 && <p class="nothing">No documents yet.</p>}
      <ul class="list">
        {documents.value?.map((document) => (
          <Row key={document.document_id} document={document} workspaceId={workspaceId} isEditor={isEditor} onDeleted={documents.reload} />
        ))}
      </ul>
    </div>
  );
}

function DropZone({ isBusy, onFiles }: { isBusy: boolean; onFiles: (files: File[]) => void }) {
  const [isOver, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    onFiles([...(event.dataTransfer?.files ?? [])]);
  };
  const chosen = () => {
    onFiles([...(input.current?.files ?? [])]);
    input.current!.value = "";
  };
  return (
    <div
      class={isOver ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <input
        ref={input}
        class="unseen"
        type="file"
        multiple
        aria-label="Choose documents"
        tabIndex={-1}
        accept=".txt,.md,.markdown,.pdf,text/plain,text/markdown,application/pdf"
        onChange={chosen}
      />
      <button type="button" class="main" disabled={isBusy} onClick={() => input.current?.click()}>
        <Icon name="upload" />
        {isBusy ? "Adding…" : "Add documents"}
      </button>
      <p class="note">Text, Markdown or PDF. You can also drop files here.</p>
    </div>
  );
}

function Row({
  document,
  workspaceId,
  isEditor,
  onDeleted,
}: {
  document: Document;
  workspaceId: string;
  isEditor: boolean;
  onDeleted: () => Promise<void>;
}) {
  const removal = useAction(async () => {
    await api.deleteDocument(workspaceId, document.document_id);
    confirmDone(`${document.name} deleted.`);
    await onDeleted();
  });
  return (
    <li class="list-row">
      <Icon name="document" />
      <div class="grow">
        <h2 class="row-title">{document.name}</h2>
        <p class="note">
          {[size(document.size_bytes), count(document.passages, "passage"), when(document.created_at)].filter(Boolean).join(" · ")}
        </p>
      </div>
      {isEditor && (
        <ConfirmButton
          icon
          label={`Delete ${document.name}`}
          title="Delete this document?"
          text={`Agents will no longer find anything in ${document.name}.`}
          action="Delete document"
          work={removal.run}
          error={removal.error}
          isBusy={removal.isBusy}
        />
      )}
    </li>
  );
}
