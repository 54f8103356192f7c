import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";

export interface Resource<T> {
  value: T | null;
  error: ApiError | null;
  /** Asks again; what is shown stays until the answer is there. */
  reload: () => Promise<void>;
  set: (value: T) => void;
}

/** What `load` answers, asked for again whenever a member of `key` changes; a late answer to an old key is dropped. */
export function useResource<T>(load: () => Promise<T>, key: unknown[]): Resource<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const turn = useRef(0);
  const reload = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const answer = await load();
      if (mine !== turn.current) return;
      setValue(() => answer);
      setError(null);
    } catch (failure) {
      if (mine === turn.current) setError(asApiError(failure));
    }
  }, key);
  useEffect(() => {
    setValue(null);
    setError(null);
    void reload();
    return () => void turn.current++;
  }, [reload]);
  return { value, error, reload, set: (next) => setValue(() => next) };
}

export interface Action<A extends unknown[]> {
  run: (...args: A) => Promise<boolean>;
  isBusy: boolean;
  error: ApiError | null;
  clear: () => void;
}

/** `work` with its state: busy while it runs, the refusal afterwards; `run` answers whether it went well. */
export function useAction<A extends unknown[]>(work: (...args: A) => Promise<unknown>): Action<A> {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const run = async (...args: A): Promise<boolean> => {
    setBusy(true);
    setError(null);
    try {
      await work(...args);
      return true;
    } catch (failure) {
      setError(asApiError(failure));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { run, isBusy, error, clear: () => setError(null) };
}

export function asApiError(failure: unknown): ApiError {
  if (failure instanceof ApiError) return failure;
  console.error(failure);
  return new ApiError(0, "Something went wrong on this page. Reload it and try again.");
}
