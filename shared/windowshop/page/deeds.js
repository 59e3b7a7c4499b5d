// What a shopper does: every deed becomes events, and after them the shelves are asked anew.

import { call } from "./api.js";
import { toast } from "./dom.js";
import { cart, dismissed, liked, noteEvent, now, remember } from "./session.js";
import { randomId, who } from "./shopper.js";
import { titleOf } from "./tile.js";

const TRIES = 8;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function deed(kind, { item_id }, place) {
  return { kind, item_id, request_id: place?.request_id, position: place?.position };
}

function purchase(item, place, quantity) {
  const { price, currency } = item.fields;
  return { ...deed("purchase", item, place), quantity, price: price ?? undefined, currency: (price != null && currency) || undefined };
}

export class Deeds {
  /** `front` shows things: refresh(), mark(), tell(), show(item, place), report(problem), nameOf(id), asOf. */
  constructor(front) {
    this.front = front;
    this.before = Promise.resolve();
  }

  open(item, place) {
    this.touch(item);
    this.front.panel.open(item, place);
    this.act([deed("click", item, place), deed("view", item, place)]);
  }

  add(item, place) {
    const line = cart.get(item.item_id) ?? { item_id: item.item_id, fields: item.fields, quantity: 0, place };
    line.quantity += 1;
    cart.set(item.item_id, line);
    this.touch(item);
    this.act([deed("add_to_cart", item, place)], `${titleOf(item)} is in your cart.`);
  }

  remove(item, place) {
    cart.delete(item.item_id);
    remember();
    this.act([deed("remove_from_cart", item, place)], `${titleOf(item)} left your cart.`);
  }

  buy(item, place) {
    this.touch(item);
    this.act([purchase(item, place, 1)], `You bought ${titleOf(item)}.`);
  }

  buyAll() {
    const lines = [...cart.values()];
    if (!lines.length) return;
    cart.clear();
    remember();
    this.act(
      lines.map((line) => purchase(line, line.place, line.quantity)),
      `You bought ${lines.length === 1 ? titleOf(lines[0]) : `${lines.length} things`}.`,
    );
  }

  like(item, place) {
    if (liked.has(item.item_id)) return;
    liked.add(item.item_id);
    this.touch(item);
    this.act([deed("like", item, place)], `You like ${titleOf(item)}.`);
  }

  dismiss(item, place) {
    dismissed.add(item.item_id);
    if (now.last?.item_id === item.item_id) now.last = null;
    remember();
    this.act([deed("dislike", item, place)], `${titleOf(item)} is not for you.`);
  }

  touch(item) {
    now.last = { item_id: item.item_id, fields: item.fields };
    remember();
  }

  /** Record events, then show what they changed. One after the other: each waits for its effect. */
  act(events, sentence) {
    this.front.mark();
    if (sentence) toast(sentence);
    this.before = this.before.then(() => this.perform(events)).catch((problem) => this.front.report(problem));
    return this.before;
  }

  async perform(deeds) {
    const shopper = who();
    const known = this.front.asOf;
    const started = performance.now();
    const events = deeds.map((event) => ({ ...event, ...shopper, event_id: randomId("e-") }));
    const receipt = await this.deliver(events);
    const acknowledged = performance.now() - started;
    if (!receipt) return;
    for (const { detail } of receipt.rejected) toast(`Not recorded: ${detail}`, true);
    const entries = events.map((event) => ({ kind: event.kind, what: event.query ?? this.front.nameOf(event.item_id), at: new Date(), acknowledged, visible: null }));
    entries.forEach(noteEvent);
    const change = await this.catchUp(known);
    if (!change) return;
    const took = change.caughtUp ? performance.now() - started : null;
    for (const entry of entries) entry.visible = took;
    this.front.tell(entries.at(-1).kind, took, acknowledged, change);
  }

  /** Sent again while nobody answers: the events carry ids, so that counts nothing twice. */
  async deliver(events) {
    for (let attempt = 0; ; attempt++) {
      try {
        return (await call("POST", "v1/events", { events })).data;
      } catch (problem) {
        if (attempt > 0 || problem.status !== 0) this.front.report(problem);
        if (!problem.passing || attempt === TRIES) return null;
        await pause(1000 * (problem.retryAfter ?? Math.min(15, 0.4 * 2 ** attempt)));
      }
    }
  }

  /** Ask until the answer counts an event newer than `known`; the first answer nearly always does. */
  async catchUp(known) {
    const change = { entered: 0, moved: 0, caughtUp: false };
    for (let attempt = 0; attempt < 10 && !change.caughtUp; attempt++) {
      if (attempt > 0) await pause(20 + 30 * attempt);
      const shown = await this.front.refresh();
      if (!shown) return null;
      change.entered += shown.entered;
      change.moved += shown.moved;
      change.caughtUp = this.front.asOf !== known;
    }
    return change;
  }
}
