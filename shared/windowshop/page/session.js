// What this visit knows without asking: the cart, what was touched last, what was liked or sent away.

import { stored } from "./api.js";

const NAME = "windowshop.session";
const EVENTS_SHOWN = 200;

function load() {
  try {
    return JSON.parse(stored.get("sessionStorage", NAME)) ?? {};
  } catch {
    return {};
  }
}

const kept = load();

/** item_id -> {item_id, fields, quantity, place} */
export const cart = new Map(kept.cart ?? []);
export const liked = new Set(kept.liked ?? []);
export const dismissed = new Set(kept.dismissed ?? []);
/** The newest events first: {kind, what, at, acknowledged, visible}. */
export const events = [];
/** The item touched last, {item_id, fields}, and the words searched for. */
export const now = { last: kept.last ?? null, query: null };

export function remember() {
  const text = JSON.stringify({ cart: [...cart], liked: [...liked].slice(-500), dismissed: [...dismissed].slice(-500), last: now.last });
  stored.set("sessionStorage", NAME, text);
}

/** Another person stands before the window; the cart goes along only with somebody who logs in. */
export function startOver({ keepCart = false } = {}) {
  if (!keepCart) cart.clear();
  liked.clear();
  dismissed.clear();
  now.last = null;
  remember();
}

export function noteEvent(entry) {
  events.unshift(entry);
  events.length = Math.min(events.length, EVENTS_SHOWN);
}

export const pieces = () => [...cart.values()].reduce((sum, line) => sum + line.quantity, 0);
