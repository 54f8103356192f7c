/** Drawings of 20 by 20, in the colour of the text; always beside or inside something that has a name. */
const PATHS = {
  menu: "M3 5.500h14M3 10h14M3 14.500h14",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  trash: "M4 5.500h12M8 5.500V4h4v1.500M5.500 5.500l.7 10.500h7.600l.7-10.500",
  close: "M5 5l10 10M15 5L5 15",
  agent:
    "M4 8.500A2.500 2.500 0 0 1 6.500 6h7A2.500 2.500 0 0 1 16 8.500v4a2.500 2.500 0 0 1-2.500 2.500h-7A2.500 2.500 0 0 1 4 12.500zM10 6V3.500M7.500 10v1M12.500 10v1",
  document: "M6 3h5.500L15 6.500V17H6zM11.500 3v3.500H15M8 10h4.500M8 13h4.500",
  people:
    "M7.500 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM3 16c0-2.500 2-4 4.500-4s4.500 1.500 4.500 4M13 9.500a2 2 0 1 0-1-3.800M14 12.300c1.800.3 3 1.700 3 3.700",
  settings:
    "M4 6h7M15 6h1M4 14h1M9 14h7M13 4.500a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3zM7 12.500a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3z",
  chat: "M4 5.500h12v8H9l-3.500 3v-3H4z",
  home: "M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z",
  user: "M10 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4.500 16.500c.5-2.800 2.700-4.500 5.500-4.500s5 1.700 5.500 4.500",
  out: "M8 4H4.500v12H8M9 10h7.500M13.500 7l3 3-3 3",
  warn: "M10 4l7 12H3zM10 8.500v3.500M10 13.900v.2",
  down: "M10 4v12M5 11l5 5 5-5",
  check: "M4.500 10.500l3.500 3.500 7.500-8",
  upload: "M10 13V4M6.500 7.500L10 4l3.500 3.500M4 13v3h12v-3",
  copy: "M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3",
  back: "M12 5l-5 5 5 5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path
        class="logo-front"
        d="M4 7.500A3.500 3.500 0 0 1 7.500 4h11A3.500 3.500 0 0 1 22 7.500v6a3.500 3.500 0 0 1-3.500 3.500H11l-5 4.200V17A3.500 3.500 0 0 1 4 13.500z"
      />
      <path
        class="logo-back"
        d="M24.500 10.800A3.500 3.500 0 0 1 28 14.300v6a3.500 3.500 0 0 1-2 3.200V28l-5-4.200h-6.500a3.500 3.500 0 0 1-3.300-2.300l1.900-1.700h5.400a6 6 0 0 0 6-6z"
      />
    </svg>
  );
}
