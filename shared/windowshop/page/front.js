// The shop front: which shelves there are, the one call that fills them, and what it tells.

import { call } from "./api.js";
import { Basket } from "./basket.js";
import { Deeds } from "./deeds.js";
import { announce, byId, el, icon, instant, milliseconds } from "./dom.js";
import { Panel } from "./panel.js";
import { cart, dismissed, now, startOver } from "./session.js";
import { Shelf } from "./shelf.js";
import { who } from "./shopper.js";
import { titleOf } from "./tile.js";

const FIELDS = ["title", "price", "currency", "available", "brand", "image_url", "url", "category"];
const ONCE = { title: 1 }; // a shop may have ten things of one name
const named = (words, item) => [words, el("bdi", {}, titleOf(item))];

// In the order of the page. `asks` is the request or null; `claim` is the order in which the shelves
// pick their items, for no item stands on two of them: own things first, what everybody likes last.
// What was looked at stands on its shelf wherever else it stands, so that shelf asks apart.
const SHELVES = [
  { name: "for_you", claim: 1, heading: () => ["For you"], asks: () => ({ diversity: 0.6, caps: ONCE }) },
  { name: "similar", claim: 2, heading: () => named("More like ", now.last), asks: () => now.last && { item_ids: [now.last.item_id], caps: ONCE } },
  {
    name: "bought_together",
    claim: 3,
    heading: () => (cart.size ? ["Goes with your cart"] : named("Bought together with ", now.last)),
    asks: () => (cart.size || now.last) && { item_ids: cart.size ? [...cart.keys()].slice(-50) : [now.last.item_id], caps: ONCE },
  },
  { name: "buy_again", claim: 0, heading: () => ["Buy again"], asks: () => ({}) },
  { name: "trending", claim: 4, heading: () => ["Trending"], asks: () => ({ caps: ONCE }) },
  { name: "popular", claim: 5, heading: () => ["Popular"], asks: () => ({ caps: ONCE }) },
  { name: "recently_viewed", apart: true, heading: () => ["Recently viewed"], asks: () => ({}) },
];

export class Front {
  constructor(notices, hood) {
    this.notices = notices;
    this.hood = hood;
    this.deeds = new Deeds(this);
    this.shelves = new Map(SHELVES.map(({ name }) => [name, new Shelf(name, this.deeds, name === "for_you" ? "grid" : "row")]));
    this.found = new Shelf("search", this.deeds, "grid");
    this.basket = new Basket(this.deeds);
    this.panel = new Panel(this.deeds, (requests) => this.ask(requests, true), (event) => this.deeds.act([event]));
    this.asOf = undefined; // the newest event that every shelf counts; "" for none, undefined before the first answer
    this.asked = 0;
    this.failed = null; // the newest problem since the shelves were last asked
    byId("shelves").append(...[...this.shelves.values()].map((shelf) => shelf.root));
    byId("results").append(this.found.root);
    document.body.classList.add("loading");
  }

  report(problem) {
    this.notices.report(problem);
  }

  mark() {
    for (const shelf of [...this.shelves.values(), this.found, this.panel, this.basket]) shelf.mark();
  }

  nameOf(id) {
    const tile = [...this.shelves.values(), this.found, this.basket.shelf].map(({ tiles }) => tiles.get(id)).find(Boolean);
    return tile ? titleOf(tile.item) : cart.has(id) ? titleOf(cart.get(id)) : now.last?.item_id === id ? titleOf(now.last) : id;
  }

  /** Slates for several requests in one call, with `ms`; null when it failed, which is then told. */
  async ask(requests, dedupe) {
    const common = { ...who(), limit: 12, fields: FIELDS };
    if (dismissed.size) common.exclude = [...dismissed].slice(-1000);
    try {
      const { data, ms } = await call("POST", "v1/recommendations/batch", { requests: requests.map((request) => ({ ...common, ...request })), dedupe });
      return Object.assign(data.slates, { ms });
    } catch (problem) {
      this.failed = problem;
      this.report(problem);
      return null;
    }
  }

  /** All shelves anew; an open panel and a search ask beside them. Answers how For you changed, or null. */
  async refresh() {
    const turn = (this.asked += 1);
    const wanted = SHELVES.map((shelf) => ({ ...shelf, request: shelf.asks() })).filter(({ request }) => request);
    const together = wanted.filter(({ apart }) => !apart).sort((a, b) => a.claim - b.claim);
    const apart = wanted.filter(({ apart }) => apart);
    const asking = [together, apart].map((shelves) => this.ask(shelves.map(({ name, request }) => ({ scenario: name, ...request })), shelves === together));
    this.failed = null;
    this.panel.refresh();
    this.search();
    const [slates, own] = await Promise.all(asking);
    if (!slates || !own) return null;
    if (turn !== this.asked) return { entered: 0, moved: 0 }; // a later call answers for this one
    const change = this.fill([...slates, ...own]);
    this.receive(slates, own);
    return change;
  }

  /** Put each slate on the shelf of its scenario. Answers how For you changed. */
  fill(answers) {
    const slates = new Map(answers.map((slate) => [slate.scenario, slate]));
    const again = slates.get("buy_again"); // who bought nothing yet is told what they came back to
    again.items = again.items.filter(({ reason }) => reason.event === "purchase");
    const open = SHELVES.filter(({ name }) => slates.has(name)).map((entry) => ({ ...entry, shelf: this.shelves.get(entry.name) }));
    for (const [name, shelf] of this.shelves) if (!slates.has(name)) shelf.clear();
    const was = open.map(({ shelf }) => shelf.measure());
    const changes = open.map(({ name, shelf, heading }, i) => shelf.place(slates.get(name), heading(), was[i]));
    open.forEach(({ shelf }, i) => shelf.settle(was[i]));
    this.basket.together(slates.get("bought_together"));
    return changes[open.findIndex(({ name }) => name === "for_you")];
  }

  receive(slates, own) {
    this.asOf = [...slates, ...own].map((slate) => slate.as_of ?? "").sort()[0]; // as fresh as the stalest shelf
    byId("fresh-asof").textContent = instant(this.asOf) || "none yet";
    byId("fresh-ms").textContent = milliseconds(slates.ms);
    byId("fresh-count").textContent = `${slates.length} shelves in`;
    byId("hood-model").textContent = `model ${slates[0].model} · store ${slates[0].store}`;
    this.notices.clear("error");
    this.notices.degraded(slates.find(({ degraded }) => degraded)?.degraded);
    document.body.classList.remove("loading");
    if (slates.every(({ items }) => items.length === 0) || !byId("empty").hidden) this.stock();
  }

  /** Say what became of the newest event: how soon it was visible, and what it changed. */
  tell(kind, took, acknowledged, { entered, moved }) {
    const words = kind.replaceAll("_", " ");
    const shown = took ? `visible in ${milliseconds(took)}` : `on disk in ${milliseconds(acknowledged)}`;
    const changes = [entered && `${entered} new`, moved && `${moved} moved`].filter(Boolean).join(", ") || "unchanged";
    this.hood.tell(el("strong", {}, words), ` ${shown} · For you: ${changes}`);
    if (took) {
      byId("fresh-visible").textContent = milliseconds(took);
      byId("receipt").classList.remove("pulse");
      void byId("receipt").offsetWidth; // restarts the animation
      byId("receipt").classList.add("pulse");
    }
    announce(`${words}: ${shown}. For you: ${changes}.`);
  }

  async search() {
    const { query } = now;
    if (query === null) return;
    const slates = await this.ask([{ scenario: "search", query }], false);
    if (!slates || query !== now.query) return;
    const [slate] = slates;
    this.found.show(slate, ["Found for “", el("bdi", {}, query), "”"], milliseconds(slates.ms));
    this.found.note.append(el("button", { class: "link", type: "button", onclick: () => this.closeSearch() }, "close"));
    this.found.root.hidden = false;
    this.found.root.classList.toggle("nothing", slate.items.length === 0);
  }

  /** Show what fits the words, and record that they were searched for. */
  async find(query) {
    if (query !== now.query) this.found.clear();
    now.query = query;
    await this.deeds.act([{ kind: "search", query }]);
    scrollTo({ top: 0, behavior: "instant" });
  }

  closeSearch() {
    now.query = null;
    byId("query").value = "";
    this.found.clear();
    byId("query").focus();
  }

  /** Another person stands before the window. Answers why there is nothing to show them, or null. */
  async changeShopper(keep) {
    startOver(keep);
    this.asOf = undefined;
    byId("fresh-visible").textContent = "–";
    if (now.query !== null) this.closeSearch();
    for (const shelf of this.shelves.values()) shelf.clear();
    this.mark();
    await this.refresh();
    return this.failed;
  }

  /** What there is to recommend; while there is nothing, look again, for an upload may be running. */
  async stock() {
    try {
      const { data } = await call("GET", "readyz");
      const none = data.items === 0;
      byId("empty").hidden = !none;
      byId("receipt").hidden = none;
      if (typeof data.items === "number") byId("shop-size").textContent = `${data.items.toLocaleString()} items · ${(data.users ?? 0).toLocaleString()} shoppers · store ${data.store}`;
      if (none) setTimeout(() => this.refresh(), 3000);
    } catch {
      // the shelves' own call tells what is wrong
    }
  }
}
