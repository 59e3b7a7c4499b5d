// The panel of one item: what is known about it, and the shelves that start from it.

import { call } from "./api.js";
import { breakable, byId, el, icon, webAddress } from "./dom.js";
import { cart, liked } from "./session.js";
import { Shelf } from "./shelf.js";
import { picture, priceLine, titleOf } from "./tile.js";

const MORE = [
  ["similar", "Similar"],
  ["bought_together", "Bought together"],
];

export class Panel {
  /** `ask(requests)` answers slates; `tell(event)` records one without waiting. */
  constructor(hands, ask, tell) {
    this.hands = hands;
    this.ask = ask;
    this.tell = tell;
    this.dialog = byId("panel");
    this.body = byId("panel-body");
    this.shelves = new Map(MORE.map(([name]) => [name, new Shelf(`panel-${name}`, hands)]));
    this.dialog.addEventListener("close", () => {
      this.left();
      this.giveBackFocus();
    });
  }

  /** Show `item`; `place` says which slate led here. Its shelves come with `refresh`. */
  open(item, place) {
    this.left();
    this.item = item;
    this.place = place;
    this.since = performance.now();
    for (const shelf of this.shelves.values()) shelf.clear();
    this.draw(item.fields);
    if (!this.dialog.open) {
      const tile = document.activeElement.closest("li");
      this.from = { list: tile?.parentElement, at: [...(tile?.parentElement.children ?? [])].indexOf(tile) };
      this.dialog.showModal();
    }
    this.dialog.scrollTop = 0;
    byId("panel-title").focus({ preventScroll: true });
    this.fill(item.item_id);
  }

  async fill(id) {
    try {
      const { data } = await call("GET", `v1/items/${encodeURIComponent(id)}`);
      if (this.item?.item_id === id) this.draw({ ...this.item.fields, ...data });
    } catch {
      // a publishable key may not read items: the slate's fields are on show already
    }
  }

  /** The shelves of the item on show, as things stand now. */
  async refresh() {
    if (!this.dialog.open || !this.item) return;
    const { item } = this;
    const slates = await this.ask(MORE.map(([scenario]) => ({ scenario, item_ids: [item.item_id], limit: 10 })));
    if (!slates || this.item !== item) return;
    MORE.forEach(([name, title], i) => this.shelves.get(name).show(slates[i], [title]));
  }

  mark() {
    for (const shelf of this.shelves.values()) shelf.mark();
    if (!this.item || !this.add) return;
    const line = cart.get(this.item.item_id);
    this.add.replaceChildren(icon(line ? "check" : "plus"), line ? `In cart (${line.quantity})` : "Add to cart");
    this.like.setAttribute("aria-pressed", String(liked.has(this.item.item_id)));
  }

  draw(fields) {
    const { item, place, hands } = this;
    const shown = { item_id: item.item_id, fields, reason: item.reason };
    const address = webAddress(fields.url);
    this.add = el("button", { class: "add big", type: "button", onclick: () => hands.add(shown, place) });
    this.like = el("button", { class: "quiet like", type: "button", onclick: () => hands.like(shown, place) }, icon("heart"), "Like");
    const path = (fields.category ?? []).flatMap((part, i) => [i ? el("span", { class: "slash", "aria-hidden": "true" }, "›") : null, el("bdi", {}, part)]);
    this.body.replaceChildren(
      el("div", { class: "panel-picture" }, picture(shown)),
      el(
        "div",
        { class: "panel-words" },
        el("p", { class: "path" }, ...path),
        el("h2", { id: "panel-title", tabindex: "-1", dir: "auto" }, ...breakable(titleOf(shown))),
        el("p", { class: "meta" }, ...priceLine(fields)),
        item.reason?.text ? el("p", { class: `reason ${item.reason.kind}` }, icon(item.reason.kind), el("span", { dir: "auto" }, item.reason.text)) : null,
        fields.description ? el("p", { class: "description", dir: "auto" }, fields.description) : null,
        el(
          "div",
          { class: "panel-doing" },
          this.add,
          el("button", { class: "buy big", type: "button", onclick: () => hands.buy(shown, place) }, "Buy now"),
          this.like,
          el("button", { class: "quiet", type: "button", onclick: () => (this.dialog.close(), hands.dismiss(shown, place)) }, icon("close"), "Not for me"),
        ),
        this.facts(fields),
        address ? el("p", {}, el("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, icon("link"), "Its page in the shop")) : null,
      ),
      ...[...this.shelves.values()].map((shelf) => shelf.root),
    );
    this.mark();
  }

  facts(fields) {
    const rows = Object.entries({ ...(fields.attributes ?? {}), "item id": this.item.item_id });
    const value = (v) => (Array.isArray(v) ? v.join(", ") : String(v));
    return el("dl", { class: "facts" }, ...rows.slice(0, 40).flatMap(([name, v]) => [el("dt", { dir: "auto" }, name), el("dd", { dir: "auto" }, value(v))]));
  }

  /** To the tile that opened the panel; where that moved to another shelf, to the one in its place. */
  giveBackFocus() {
    if (document.activeElement !== document.body) return;
    const { list, at } = this.from;
    const tiles = list?.checkVisibility() ? [...list.children].filter((li) => !li.inert) : [];
    (tiles[Math.min(at, tiles.length - 1)]?.tile?.open ?? byId("query")).focus();
  }

  /** How long somebody looked is worth telling. */
  left() {
    if (!this.item) return;
    const seconds = (performance.now() - this.since) / 1000;
    const { item, place } = this;
    this.item = null;
    if (seconds >= 1) this.tell({ kind: "dwell", item_id: item.item_id, value: Math.min(86_400, Math.round(seconds * 10) / 10), request_id: place?.request_id });
  }
}
