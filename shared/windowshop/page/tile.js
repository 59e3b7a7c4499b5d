// One item on a shelf.

import { drawing } from "./art.js";
import { breakable, el, icon, money, webAddress } from "./dom.js";
import { cart, liked } from "./session.js";

/** The name that people read; an item may have no title. */
export const titleOf = (item) => item.fields.title || (item.fields.category ?? []).at(-1) || item.item_id;

/** Its picture, or its drawing where it has none or the picture does not load. */
export function picture(item) {
  const address = webAddress(item.fields.image_url);
  if (!address) return drawing(item.item_id, item.fields);
  const image = el("img", { class: "art", src: address, alt: "", loading: "lazy", referrerpolicy: "no-referrer", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(drawing(item.item_id, item.fields)), { once: true });
  return image;
}

/** "Acme · $3.50" as nodes. */
export function priceLine({ brand, price, currency }) {
  const nodes = [];
  if (typeof price === "number") nodes.push(el("span", { class: "price" }, money(price, currency)));
  if (brand) nodes.push(el("bdi", { class: "brand" }, String(brand)));
  return nodes;
}

/** An <li> for one item of a slate; `hands` do what its buttons say. `show(item, place)` gives it another slate's words. */
export class Tile {
  constructor(item, place, hands) {
    this.hands = hands;
    this.reason = el("span", { class: "reason" });
    this.title = el("span", { class: "title", dir: "auto" });
    this.price = el("p", { class: "meta" });
    this.badge = el("span", { class: "moved", "aria-hidden": "true" });
    this.frame = el("span", { class: "frame" });
    this.open = el("button", { class: "open", type: "button", onclick: () => hands.open(this.item, this.place) }, this.frame, this.reason, this.title);
    this.add = el("button", { class: "add", type: "button", onclick: () => hands.add(this.item, this.place) });
    this.buy = el("button", { class: "buy", type: "button", onclick: () => hands.buy(this.item, this.place) }, "Buy");
    this.like = el("button", { class: "round like", type: "button", title: "Like", onclick: () => hands.like(this.item, this.place) }, icon("heart"));
    this.away = el("button", { class: "round away", type: "button", title: "Not for me", onclick: () => hands.dismiss(this.item, this.place) }, icon("close"));
    this.buttons = [this.open, this.like, this.away, this.add, this.buy];
    this.li = el("li", { class: "tile" }, this.open, this.badge, this.like, this.away, this.price, el("div", { class: "doing" }, this.add, this.buy));
    this.li.tile = this;
    this.show(item, place);
  }

  show(item, place) {
    const first = !this.item;
    const repaint = first || this.item.fields.image_url !== item.fields.image_url || this.item.fields.title !== item.fields.title;
    this.item = item;
    this.place = place;
    const name = titleOf(item);
    if (repaint) this.frame.replaceChildren(picture(item));
    this.title.replaceChildren(...breakable(name));
    const { kind, text } = item.reason ?? {};
    const said = JSON.stringify([item.fields.price, item.fields.currency, item.fields.brand, kind, text]);
    if (said === this.said && !repaint) return this.mark();
    this.said = said;
    this.price.replaceChildren(...priceLine(item.fields));
    this.reason.replaceChildren(...(text ? [icon(kind), el("span", { dir: "auto" }, text)] : []));
    this.reason.title = text ?? "";
    this.reason.className = `reason ${/^[a-z_]+$/.test(kind ?? "") ? kind : ""}`;
    this.buy.setAttribute("aria-label", `Buy ${name}`);
    this.like.setAttribute("aria-label", `Like ${name}`);
    this.away.setAttribute("aria-label", `Not for me: ${name}`);
    this.mark();
  }

  /** What the visit knows about the item: in the cart, liked. */
  mark() {
    const line = cart.get(this.item.item_id);
    this.add.replaceChildren(icon(line ? "check" : "plus"), line ? `In cart${line.quantity > 1 ? ` (${line.quantity})` : ""}` : "Add");
    this.add.classList.toggle("taken", Boolean(line));
    this.add.setAttribute("aria-label", `Add ${titleOf(this.item)} to cart${line ? `, ${line.quantity} in cart` : ""}`);
    this.like.setAttribute("aria-pressed", String(liked.has(this.item.item_id)));
  }

  /** In a shelf only one tile's buttons are tab stops; arrow keys go to the others. */
  reachable(yes) {
    for (const button of this.buttons) button.tabIndex = yes ? 0 : -1;
  }

  /** Say for a while that it is new here (`places` null) or how far it rose. */
  sayMoved(places) {
    clearTimeout(this.timer);
    this.badge.replaceChildren(...(places === null ? [icon("new"), "new"] : [`▲ ${places}`]));
    this.li.classList.add(places === null ? "entered" : "rose");
    this.timer = setTimeout(() => this.li.classList.remove("entered", "rose"), 5000);
  }

  stopSaying() {
    clearTimeout(this.timer);
    this.li.classList.remove("entered", "rose");
  }
}
