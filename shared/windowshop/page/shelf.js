// A row of tiles that shows what changed: what stays glides to its new place, what is new grows in.

import { el, icon } from "./dom.js";
import { unwatch, watch } from "./impressions.js";
import { Tile } from "./tile.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const GLIDE = { duration: 520, easing: "cubic-bezier(.2,.8,.2,1)" };

export class Shelf {
  /** `layout` is "grid" or "row"; `hands` act on items (see tile.js). */
  constructor(name, hands, layout = "row") {
    this.name = name;
    this.hands = hands;
    this.tiles = new Map();
    this.shown = false; // nothing "moves" in the first slate
    this.heading = el("h2", { id: `shelf-${name}` });
    this.note = el("p", { class: "note" });
    this.change = el("p", { class: "change", hidden: true });
    this.list = el("ul", { class: `tiles ${layout}`, onkeydown: (event) => this.walk(event), onfocusin: (event) => this.stand(event) });
    const nudge = (sign, label) =>
      el("button", { class: "nudge", type: "button", tabindex: "-1", "aria-hidden": "true", title: label, onclick: () => this.scroll(sign) }, icon(sign < 0 ? "left" : "right"));
    this.root = el(
      "section",
      { class: "shelf", "data-shelf": name, "aria-labelledby": `shelf-${name}`, hidden: true },
      el(
        "header",
        { class: "shelf-head" },
        this.heading,
        this.change,
        this.note,
        el("span", { class: "hint", "aria-hidden": "true" }, "← → to move along"),
        layout === "row" ? el("span", { class: "nudges" }, nudge(-1, "Back"), nudge(1, "On")) : null,
      ),
      this.list,
    );
  }

  scroll(sign) {
    this.list.scrollBy({ left: sign * this.list.clientWidth * 0.8, behavior: calm.matches ? "auto" : "smooth" });
  }

  walk(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = [...this.list.children].filter((li) => li.tile && !li.inert);
    const here = all.indexOf(event.target.closest("li"));
    const turned = getComputedStyle(this.list).direction === "rtl" ? -step : step;
    const next = all[Math.max(0, Math.min(all.length - 1, here + turned))];
    if (!next) return;
    event.preventDefault();
    const which = Math.max(0, all[here]?.tile.buttons.indexOf(event.target) ?? 0);
    next.tile.buttons[which].focus();
  }

  stand(event) {
    const here = event.target.closest("li");
    for (const tile of this.tiles.values()) tile.reachable(tile.li === here);
  }

  mark() {
    for (const tile of this.tiles.values()) tile.mark();
  }

  clear() {
    for (const tile of this.tiles.values()) {
      unwatch(tile.li);
      tile.li.remove();
    }
    this.tiles.clear();
    this.shown = false;
    this.root.hidden = true;
  }

  /** Show a slate. Answers {entered, moved}: how many items are new here, how many changed place. */
  show(slate, heading, note) {
    const was = this.measure();
    const change = this.place(slate, heading, was, note);
    this.settle(was);
    return change;
  }

  // The three steps of `show`. Who shows several shelves takes each step for all of them, for a
  // measurement after a change makes the browser lay the whole page out again.

  /** Where the tiles stand now, by item. */
  measure() {
    this.atStart = this.list.scrollLeft < 8;
    return new Map([...this.tiles].map(([id, tile]) => [id, this.offset(tile.li)]));
  }

  /** Put the slate's tiles in place; `was` is what `measure` said. */
  place(slate, heading, was, note) {
    this.heading.replaceChildren(...heading);
    this.note.textContent = note ?? "";
    const places = new Map([...this.tiles.keys()].map((id, i) => [id, i]));
    const held = this.list.contains(document.activeElement) ? document.activeElement : null;
    const heldAt = held ? [...this.list.children].indexOf(held.closest("li")) : -1;
    const next = new Map();
    slate.items.forEach((item, position) => {
      const place = { request_id: slate.request_id, position, scenario: slate.scenario };
      const tile = this.tiles.get(item.item_id) ?? new Tile(item, place, this.hands);
      tile.show(item, place);
      next.set(item.item_id, tile);
    });
    const gone = [...this.tiles].filter(([id]) => !next.has(id));
    const change = this.shown ? this.compare(next, places) : { entered: 0, moved: 0 };
    this.root.hidden = next.size === 0;
    for (const [id, tile] of gone) this.leave(tile, was.get(id));
    this.tiles = next;
    this.order();
    for (const [id, tile] of next) watch(tile.li, id, tile.place);
    this.keepFocus(held, heldAt);
    return change;
  }

  /** Let what moved glide from where it `was`, and what is new grow in. */
  settle(was) {
    if (this.atStart) this.list.scrollLeft = 0; // scroll snapping would follow the tile that stood first
    if (!calm.matches) {
      const moved = [...this.tiles].filter(([id]) => was.has(id)).map(([id, { li }]) => [li, was.get(id), this.offset(li)]);
      for (const [li, from, to] of moved) this.glide(li, from, to);
      if (this.shown) for (const [id, { li }] of this.tiles) if (!was.has(id)) this.enter(li);
    }
    this.shown = this.tiles.size > 0;
  }

  /** Where a tile stands within its shelf, whatever is scrolled. */
  offset(li) {
    return { x: li.offsetLeft, y: li.offsetTop, w: li.offsetWidth };
  }

  compare(next, places) {
    let entered = 0;
    let moved = 0;
    [...next].forEach(([id, tile], position) => {
      const before = places.get(id);
      tile.stopSaying();
      if (before === undefined) {
        entered += 1;
        tile.sayMoved(null);
      } else if (before !== position) {
        moved += 1;
        if (before - position > 1) tile.sayMoved(before - position);
      }
    });
    const words = [entered && `${entered} new`, moved && `${moved} moved`].filter(Boolean).join(" · ");
    this.change.textContent = words;
    this.change.hidden = !words;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.change.hidden = true), 6000);
    return { entered, moved };
  }

  /** Put the elements in the slate's order, touching only what stands wrong: a moved element loses focus. */
  order() {
    let at = [...this.list.children].find((li) => !li.inert) ?? null;
    for (const tile of this.tiles.values()) {
      if (tile.li === at) {
        do at = at.nextElementSibling;
        while (at?.inert);
      } else {
        this.list.insertBefore(tile.li, at);
      }
    }
    const stop = [...this.tiles.values()].find((tile) => tile.li.contains(document.activeElement)) ?? this.tiles.values().next().value;
    for (const tile of this.tiles.values()) tile.reachable(tile === stop);
  }

  keepFocus(held, heldAt) {
    if (!held || document.activeElement === held) return;
    if (held.isConnected && !held.closest("[inert]")) {
      held.focus({ preventScroll: true });
    } else {
      const tiles = [...this.tiles.values()];
      (tiles[Math.min(heldAt, tiles.length - 1)]?.open ?? document.getElementById("query")).focus({ preventScroll: true });
    }
  }

  glide(li, was, { x, y }) {
    if (was.x === x && was.y === y) return;
    li.animate([{ transform: `translate(${was.x - x}px, ${was.y - y}px)`, zIndex: 1 }, { transform: "none", zIndex: 1 }], GLIDE);
  }

  enter(li) {
    li.animate([{ opacity: 0, transform: "translateY(18px) scale(.86)" }, { opacity: 1, transform: "none" }], { ...GLIDE, delay: 120, fill: "backwards" });
  }

  leave({ li }, { x, y, w }) {
    unwatch(li);
    if (calm.matches || this.root.hidden) {
      li.remove();
      return;
    }
    li.inert = true;
    li.setAttribute("aria-hidden", "true");
    li.classList.add("leaving");
    li.style.left = `${x}px`;
    li.style.top = `${y}px`;
    li.style.width = `${w}px`;
    li.animate([{ opacity: 1 }, { opacity: 0, transform: "scale(.82)" }], { duration: 260, easing: "ease-in", fill: "forwards" }).finished.finally(() => li.remove());
  }
}
