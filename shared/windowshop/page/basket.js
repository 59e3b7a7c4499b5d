// The cart's drawer: lines, quantities, the way to the till, and what goes well with it all.

import { byId, el, icon, money } from "./dom.js";
import { cart, pieces, remember } from "./session.js";
import { Shelf } from "./shelf.js";
import { picture, titleOf } from "./tile.js";

export class Basket {
  constructor(hands) {
    this.hands = hands;
    this.dialog = byId("basket");
    this.lines = byId("basket-lines");
    this.total = byId("basket-total");
    this.till = byId("basket-buy");
    this.shelf = new Shelf("basket-together", hands);
    byId("basket-shelf").append(this.shelf.root);
    this.till.addEventListener("click", () => {
      this.dialog.close();
      hands.buyAll();
    });
    byId("cart-button").addEventListener("click", () => this.dialog.showModal());
    this.mark();
  }

  /** The slate that goes with the cart, or null when it is empty. */
  together(slate) {
    if (slate && cart.size) this.shelf.show(slate, ["Goes well with it"]);
    else this.shelf.clear();
  }

  mark() {
    const count = pieces();
    byId("cart-count").textContent = count ? String(count) : "";
    byId("cart-button").setAttribute("aria-label", `Cart, ${count === 1 ? "1 piece" : `${count} pieces`}`);
    const focused = document.activeElement?.dataset?.line;
    this.lines.replaceChildren(...[...cart.values()].map((line) => this.line(line)));
    byId("basket-empty").hidden = cart.size > 0;
    this.till.disabled = cart.size === 0;
    this.total.textContent = this.sum();
    this.shelf.mark();
    if (focused && this.dialog.open && !this.lines.contains(document.activeElement)) {
      (this.lines.querySelector(`[data-line="${CSS.escape(focused)}"]`) ?? byId("basket-title")).focus();
    }
  }

  line(line) {
    const name = titleOf(line);
    const { item_id: id, fields } = line;
    const step = (by, label, glyph) =>
      el("button", { class: "round", type: "button", "data-line": `${glyph} ${id}`, "aria-label": `${label} ${name}`, onclick: () => this.change(line, by) }, icon(glyph));
    return el(
      "li",
      { class: "line-item" },
      el("span", { class: "thumb" }, picture(line)),
      el("span", { class: "line-words" }, el("span", { class: "title", dir: "auto" }, name), el("span", { class: "price" }, money(fields.price, fields.currency))),
      el("span", { class: "stepper" }, step(-1, "One less:", line.quantity > 1 ? "minus" : "trash"), el("output", {}, String(line.quantity)), step(1, "One more:", "plus")),
    );
  }

  /** Quantity is told with the purchase; leaving the cart is an event of its own. */
  change(line, by) {
    if (line.quantity + by < 1) {
      this.hands.remove(line, line.place);
      return;
    }
    line.quantity = Math.min(999, line.quantity + by);
    remember();
    this.mark();
  }

  sum() {
    const sums = new Map();
    for (const { fields, quantity } of cart.values()) {
      if (typeof fields.price !== "number") continue;
      sums.set(fields.currency, (sums.get(fields.currency) ?? 0) + fields.price * quantity);
    }
    return [...sums].map(([currency, amount]) => money(amount, currency)).join(" + ");
  }
}
