/** Times and sizes as a reader expects them. */

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** "14:05" today, "3 Nov, 14:05" this year, "3 Nov 2024" before; empty for no date. */
export function when(iso: string | null | undefined, now = new Date()): string {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return "";
  if (date.toDateString() === now.toDateString()) return TIME.format(date);
  if (date.getFullYear() === now.getFullYear()) return `${DAY.format(date)}, ${TIME.format(date)}`;
  return DAY_OF_YEAR.format(date);
}

/** "812 B", "14 kB", "2.3 MB". */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`;
}
