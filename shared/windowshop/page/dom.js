// Making elements. Text only ever arrives through text nodes: titles come from strangers.

/** `el("button", {class: "quiet", onclick: f, "aria-label": "Close"}, child, "text")` */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14a7 7 0 1 0 0-14M16 16l5 5",
  cart: "M3 4h3l2.5 11h10l2.5-8H7M10 20h.01M17 20h.01",
  user: "M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M4 21c0-5 4-6.5 8-6.5s8 1.5 8 6.5",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  moon: "M20 14A8.5 8.5 0 1 1 10 4a7 7 0 0 0 10 10",
  heart: "M12 20C5 15 3 11.5 3 8.5A4.5 4.5 0 0 1 12 7a4.5 4.5 0 0 1 9 1.5C21 11.5 19 15 12 20",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  check: "M4 12.5l5 5L20 6.5",
  left: "M15 5l-7 7l7 7",
  right: "M9 5l7 7l-7 7",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6",
  code: "M8 7l-5 5l5 5M16 7l5 5l-5 5M14 4l-4 16",
  warn: "M12 3L2 20h20L12 3M12 10v4M12 17h.01",
  down: "M12 4v11M7 11l5 5l5-5M4 20h16",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  pulse: "M2 12h5l3-8l4 16l3-8h5",
  because_of: "M5 4v9h13M14 9l4 4l-4 4",
  like_minded: "M9 5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7M2.5 20c0-4 3-5.5 6.5-5.5s6.5 1.5 6.5 5.5M16 5.5a3.5 3.5 0 0 1 0 6.5M18 15c2.5.7 3.5 2.5 3.5 5",
  bought_together: "M8 5v8M4 9h8M16 11v8M12 15h8",
  similar: "M3 9c3-4 6-4 9 0s6 4 9 0M3 16c3-4 6-4 9 0s6 4 9 0",
  popular: "M12 3l2.7 5.8l6.300.8l-4.600 4.400l1.200 6.300L12 17.200l-5.600 3.100l1.200-6.300L3 9.600l6.300-.8L12 3",
  trending: "M3 17l6-6l4 4l8-8M15 7h6v6",
  buy_again: "M20 11A8 8 0 1 0 18 17M20 4v7h-7",
  recent: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16M12 8v4l3 2",
  new: "M12 3l2 7l7 2l-7 2l-2 7l-2-7l-7-2l7-2l2-7",
  pinned: "M9 4h6l-1 6l3 3H7l3-3L9 4M12 13v8",
};

/** A line icon, invisible to screen readers: the words stand beside it or in a label. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name] ?? ICONS.popular);
  svg.append(path);
  return svg;
}

/** The address if it is one a browser may follow or load, else null: `javascript:` and friends end here. */
export function webAddress(value) {
  if (typeof value !== "string" || !value) return null;
  try {
    const url = new URL(value, location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Text as nodes that may break after a slash, as browsers do not by themselves. */
export function breakable(text) {
  return String(text)
    .split(/(?<=[/_\\])/)
    .flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
}

/** "$3.50"; a currency that is none is written beside the number. */
export function money(price, currency) {
  if (typeof price !== "number") return "";
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency: currency || "USD", currencyDisplay: "narrowSymbol" }).format(price);
  } catch {
    return `${price.toFixed(2)} ${currency}`;
  }
}

/** "14:03:07.120", with the day before it when it is not today. */
export function instant(text) {
  const time = new Date(text);
  if (!text || Number.isNaN(time.getTime())) return "";
  const clock = time.toLocaleTimeString([], { hour12: false }) + "." + String(time.getMilliseconds()).padStart(3, "0");
  if (time.toDateString() === new Date().toDateString()) return clock;
  return time.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" }) + ", " + clock;
}

export const milliseconds = (ms) => (ms < 9.95 ? ms.toFixed(1) : Math.round(ms)) + " ms";

const live = { timer: 0, said: [] };

/** Tell screen readers; sentences that come together are read together. */
export function announce(sentence) {
  live.said.push(sentence);
  clearTimeout(live.timer);
  live.timer = setTimeout(() => {
    byId("announcer").textContent = live.said.join(" ");
    live.said = [];
  }, 250);
}

/** A short message at the foot of the window. */
export function toast(sentence, bad = false) {
  const note = el("p", { class: bad ? "toast bad" : "toast", dir: "auto" }, sentence);
  for (const old of byId("toasts").querySelectorAll(".toast:not(.bad)")) old.remove();
  byId("toasts").append(note);
  setTimeout(() => note.remove(), bad ? 7000 : 3200);
}
