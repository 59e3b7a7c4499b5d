// What went wrong, in a strip above the shelves, and when it is tried again.

import { byId, el, icon } from "./dom.js";

export class Notices {
  constructor(retry) {
    this.retry = retry;
    this.strips = new Map();
    this.failures = 0;
    this.timer = 0;
  }

  put(slot, kind, ...words) {
    const strip = el("div", { class: `notice ${kind}`, "data-slot": slot }, icon("warn"), el("p", {}, ...words));
    this.strips.get(slot)?.remove();
    this.strips.set(slot, strip);
    byId("notices").append(strip);
  }

  clear(slot) {
    if (slot === "error") {
      clearTimeout(this.timer);
      this.failures = 0;
    }
    this.strips.get(slot)?.remove();
    this.strips.delete(slot);
  }

  degraded(what) {
    if (what) this.put("degraded", "soft", el("strong", {}, "Served with less than usual: "), what.detail);
    else this.clear("degraded");
  }

  /** Tell a failed call, and come back by itself where that can help. */
  report(problem) {
    console.warn(problem);
    const again = this.wait(problem);
    if (problem.status === 401) {
      this.put("error", "bad", "This shop asks for a key. ", el("button", { class: "link", type: "button", onclick: () => byId("key").showModal() }, "Enter a key"));
      if (!document.querySelector("dialog[open]")) byId("key").showModal();
      return;
    }
    const heads = { 0: "Nobody answers. ", 403: "Not with this key. ", 429: "Too many requests. ", 503: "The shop is not ready. " };
    const more = (problem.flaws ?? []).filter((flaw) => !flaw.endsWith(problem.message));
    const flaws = more.length ? ` (${more.join("; ")})` : "";
    const later = again ? ` Trying again in ${again < 1.5 ? "a second" : `${Math.round(again)} seconds`}.` : "";
    this.put("error", "bad", el("strong", {}, heads[problem.status] ?? ""), problem.message + flaws + later);
    if (!again) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.retry, again * 1000);
  }

  /** Seconds until another try, or null where trying again changes nothing. */
  wait({ passing, retryAfter }) {
    if (!passing) return null;
    this.failures += 1;
    return retryAfter ?? Math.min(15, 1 * 2 ** (this.failures - 1));
  }
}
