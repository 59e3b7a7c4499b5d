// Who is shopping: a guest with a random id, or a user; and the way from one to the other.

import { call, stored } from "./api.js";

const GUEST = "windowshop.guest";
const USER = "windowshop.user";
const MERGED = "windowshop.merged";

/** 26 characters, random; also the ids of events. */
export function randomId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(13));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function guestId() {
  const known = stored.get("localStorage", GUEST);
  if (known) return known;
  return newGuest();
}

export function newGuest() {
  const id = randomId("g-");
  stored.set("localStorage", GUEST, id);
  stored.set("sessionStorage", USER, null);
  stored.set("sessionStorage", MERGED, null);
  return id;
}

export const userId = () => stored.get("sessionStorage", USER);
/** The guest whose history was brought along at log-in, or null. */
export const mergedGuest = () => (userId() ? stored.get("sessionStorage", MERGED) : null);

/** The fields that name the shopper in a request, an event, an export. */
export const who = () => (userId() ? { user_id: userId() } : { anonymous_id: guestId() });

/** For people: "Shopper 1228", "Guest 3fa2". */
export const shownName = () => userId() ?? `Guest ${guestId().slice(2, 6)}`;

/** See the shop as `user` sees it; the guest's history stays the guest's. */
export function shopAs(user) {
  stored.set("sessionStorage", USER, user);
  stored.set("sessionStorage", MERGED, null);
}

/** Log in: what the guest did now counts for `user` too. Answers how many events came along. */
export async function logIn(user) {
  const anonymous = guestId();
  const { data } = await call("POST", "v1/users/merge", { user_id: user, anonymous_id: anonymous });
  stored.set("sessionStorage", USER, user);
  stored.set("sessionStorage", MERGED, anonymous);
  return data.events;
}

/** Be the guest again; with `undo`, the merge is taken back. Answers the events that went back. */
export async function logOut(undo) {
  let events = 0;
  if (undo && mergedGuest()) {
    const pair = { user_id: userId(), anonymous_id: mergedGuest() };
    events = (await call("POST", "v1/users/unmerge", pair)).data.events;
  }
  stored.set("sessionStorage", USER, null);
  stored.set("sessionStorage", MERGED, null);
  return events;
}

/** Example shoppers, where the demo wrote some: [{user_id, name, description}]. */
export async function examples() {
  try {
    const response = await fetch("page/shoppers.json");
    if (!response.ok) return [];
    const list = await response.json();
    return list
      .filter((entry) => entry?.user_id)
      .slice(0, 24)
      .map(({ user_id: user, name, description }) => ({ user_id: String(user), name: String(name ?? user), description: String(description ?? "") }));
  } catch {
    return [];
  }
}
