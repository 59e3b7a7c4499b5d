// The dialog "Who is shopping?": guest, example shoppers, any user id, log in and out, and one's data.

import { call, Problem } from "./api.js";
import { byId, el, icon, toast } from "./dom.js";
import { dropImpressions } from "./impressions.js";
import { examples, guestId, logIn, logOut, mergedGuest, newGuest, shopAs, shownName, userId, who } from "./shopper.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

export class People {
  /** `changed({keepCart})` shows the shop to another shopper and answers what went wrong, or null; `report(problem)` tells a failure. */
  constructor(changed, report) {
    this.changed = changed;
    this.report = report;
    this.dialog = byId("people");
    this.input = byId("people-id");
    byId("who-button").addEventListener("click", () => this.open());
    byId("people-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const user = this.input.value.trim();
      if (!user) return this.input.focus();
      if (event.submitter?.value === "look") this.be(() => shopAs(user), `You see the shop as ${user} sees it.`);
      else this.enter(user);
    });
    byId("people-guest").addEventListener("click", () => this.be(() => newGuest(), "You are a new guest."));
    byId("people-out").addEventListener("click", () => this.leave(false));
    byId("people-undo").addEventListener("click", () => this.leave(true));
    byId("people-export").addEventListener("click", () => this.export());
    byId("people-forget").addEventListener("click", () => byId("forget").showModal());
    byId("forget-yes").addEventListener("click", () => this.forget());
    this.draw();
    examples().then((list) => this.suggest(list));
  }

  open() {
    this.draw();
    byId("erasure").replaceChildren();
    this.dialog.showModal();
  }

  draw() {
    const user = userId();
    byId("who-name").textContent = shownName();
    byId("who-button").setAttribute("aria-label", `Who is shopping: ${shownName()}`);
    byId("people-now").replaceChildren(
      ...(user
        ? ["You shop as ", el("bdi", { class: "strong" }, user), mergedGuest() ? ", with what you did as a guest." : "."]
        : ["You are a guest. Your browser keeps the id ", el("code", {}, guestId()), "."]),
    );
    byId("people-out").hidden = !user;
    byId("people-undo").hidden = !mergedGuest();
    byId("people-login").textContent = user ? "Log in" : "Log in, bring my history";
    for (const button of byId("people-list").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.user === user));
    }
  }

  suggest(list) {
    byId("people-examples").hidden = list.length === 0;
    byId("people-list").replaceChildren(
      ...list.map(({ user_id: user, name, description }) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "person", "data-user": user, "aria-pressed": "false", onclick: () => this.be(() => shopAs(user), `You see the shop as ${name} (${user}).`) },
            el("span", { class: "face", "aria-hidden": "true" }, icon("user")),
            el("span", {}, el("bdi", { class: "strong" }, name), el("span", { class: "about", dir: "auto" }, description || user)),
          ),
        ),
      ),
    );
    this.draw();
  }

  /** Change who is shopping, say so, and look at the shelves anew. */
  async be(change, sentence, keep = {}) {
    try {
      const more = await change();
      this.dialog.close();
      this.draw();
      const failed = await this.changed(keep);
      if (failed?.status === 403 && userId()) await this.refused(failed);
      else toast(sentence + (typeof more === "number" && more > 0 ? ` ${plural(more, "event")} moved along.` : ""));
    } catch (problem) {
      this.dialog.close();
      this.report(problem);
    }
  }

  /** A publishable key may not speak for a user: be the guest again. */
  async refused(problem) {
    await logOut(false);
    this.draw();
    toast(problem.message, true);
    await this.changed({ keepCart: true });
  }

  enter(user) {
    if (userId()) return this.be(() => shopAs(user), `You are ${user} now.`);
    return this.be(() => logIn(user), `Welcome, ${user}.`, { keepCart: true });
  }

  leave(undo) {
    return this.be(() => logOut(undo), undo ? "Logged out; the guest's history is the guest's again." : "Logged out: you are the guest again.");
  }

  async export() {
    const held = { who: who(), profile: null, merged: [], events: [] };
    try {
      let cursor = null;
      do {
        const { data } = await call("POST", "v1/users/export", { ...held.who, ...(cursor ? { cursor } : {}) });
        held.profile = data.profile;
        held.merged = data.merged;
        held.events.push(...data.events);
        cursor = data.next;
      } while (cursor);
    } catch (problem) {
      this.dialog.close();
      return this.report(problem);
    }
    const url = URL.createObjectURL(new Blob([JSON.stringify(held, null, 2)], { type: "application/json" }));
    el("a", { href: url, download: "my-windowshop-data.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    toast(`${plural(held.events.length, "event")} in my-windowshop-data.json.`);
  }

  /** Erase everything held about this shopper, and wait for the proof that it is gone. */
  async forget() {
    byId("forget").close();
    const status = byId("erasure");
    const say = (...words) => status.replaceChildren(...words);
    const forgotten = who();
    dropImpressions();
    try {
      say("Forgetting you …");
      const { data: started } = await call("POST", "v1/users/forget", forgotten);
      let erasure = { status: "running" };
      for (let wait = 80; erasure.status !== "done"; wait = Math.min(2000, wait * 1.6)) {
        ({ data: erasure } = await call("GET", `v1/erasures/${encodeURIComponent(started.erasure_id)}`));
        if (erasure.status !== "done") await pause(wait);
      }
      const { events = 0, profiles = 0 } = erasure.erased ?? {};
      say(
        icon(erasure.verified ? "check" : "warn"),
        `Forgotten: ${plural(events, "event")} and ${plural(profiles, "profile")} erased`,
        erasure.verified ? "; looked for again, and not found." : "; not verified yet.",
        el("code", {}, started.erasure_id),
      );
      if (!userId()) newGuest();
      this.draw();
      await this.changed({});
    } catch (problem) {
      say(problem instanceof Problem ? problem.message : String(problem));
      this.report(problem);
    }
  }
}
