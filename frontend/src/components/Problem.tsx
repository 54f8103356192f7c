import type { ApiError } from "../api";
import { Icon } from "./Icon";

/** A refusal, told at once to everybody; nothing when there is none. */
export function Problem({ error, onRetry }: { error: ApiError | null; onRetry?: () => void }) {
  if (!error) return null;
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <span>{error.detail}</span>
      {onRetry && (
        <button type="button" class="plain small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
