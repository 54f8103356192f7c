import { useEffect, useState } from "preact/hooks";

/** A value that tells its listeners, in order of subscription, whenever it is replaced. */
export class Observable<T> {
  #value: T;
  #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  /** Calls `listener` on each change; the answer ends that. */
  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The current value; the component is drawn again when it changes. */
export function useObservable<T>(observable: Observable<T>): T {
  const [value, setValue] = useState(observable.value);
  useEffect(() => {
    setValue(() => observable.value);
    return observable.subscribe((next) => setValue(() => next));
  }, [observable]);
  return value;
}

/** Like `useObservable`, drawn at most once a frame: for values that change a thousand times a second. */
export function useObservableByFrame<T>(observable: Observable<T>): T {
  const [value, setValue] = useState(observable.value);
  useEffect(() => {
    let frame = 0;
    const draw = () => {
      frame = 0;
      setValue(() => observable.value);
    };
    const end = observable.subscribe(() => {
      frame ||= requestAnimationFrame(draw);
    });
    draw();
    return () => {
      end();
      cancelAnimationFrame(frame);
    };
  }, [observable]);
  return value;
}
