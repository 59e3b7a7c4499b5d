// Which items were really seen: half of the tile in view for half a second, once a slate.

import { call, farewell } from "./api.js";
import { who } from "./shopper.js";

const waiting = new Map(); // request_id -> {user, items: Map(position -> item_id)}
const told = new Set();
const timers = new Map();
let flushing = 0;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(timers.get(target));
      if (isIntersecting) timers.set(target, setTimeout(() => seen(target), 500));
      else timers.delete(target);
    }
  },
  { threshold: 0.5 },
);

/** Watch a tile; call again when its slate changed. `place` is {request_id, position}. */
export function watch(tile, itemId, { request_id: slate, position }) {
  tile.impression = { itemId, slate, position };
  observer.unobserve(tile);
  observer.observe(tile);
}

export function unwatch(tile) {
  clearTimeout(timers.get(tile));
  timers.delete(tile);
  observer.unobserve(tile);
}

function seen(tile) {
  const { itemId, slate, position } = tile.impression;
  if (!tile.isConnected || told.has(slate + itemId)) return;
  told.add(slate + itemId);
  if (told.size > 20_000) told.clear();
  if (!waiting.has(slate)) waiting.set(slate, { user: who(), items: new Map() });
  waiting.get(slate).items.set(position, itemId);
  clearTimeout(flushing);
  flushing = setTimeout(flush, 2500);
}

function take() {
  const events = [...waiting].map(([slate, { user, items }]) => ({
    kind: "impression",
    ...user,
    request_id: slate,
    item_ids: [...items].sort((a, b) => a[0] - b[0]).map(([, id]) => id),
  }));
  waiting.clear();
  return events.slice(0, 500);
}

async function flush() {
  const events = take();
  if (!events.length) return;
  try {
    await call("POST", "v1/events", { events });
  } catch {
    // an impression is not worth a second try
  }
}

/** What was seen under one name must not be told after that name was forgotten. */
export function dropImpressions() {
  waiting.clear();
}

addEventListener("pagehide", () => {
  const events = take();
  if (events.length) farewell("v1/events", { events });
});
