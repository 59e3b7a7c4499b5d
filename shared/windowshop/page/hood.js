// Under the hood: the last calls with their JSON, this visit's events, what it all took.

import { wire } from "./api.js";
import { byId, el, icon, milliseconds } from "./dom.js";
import { events } from "./session.js";

const CALLS_KEPT = 25;
const SHOWN = 60_000; // characters of one JSON text

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON as coloured text nodes. */
function coloured(value) {
  const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
  const cut = text.length > SHOWN ? text.slice(0, SHOWN) + "\n…" : text;
  const nodes = [];
  let from = 0;
  for (const match of cut.matchAll(TOKEN)) {
    nodes.push(cut.slice(from, match.index));
    const kind = match[2] ? "name" : match[1] ? "text" : "value";
    nodes.push(el("span", { class: `json-${kind}` }, match[1] ?? match[0]), match[2] ?? "");
    from = match.index + match[0].length;
  }
  nodes.push(cut.slice(from));
  return nodes;
}

export class Hood {
  constructor() {
    this.calls = [];
    this.chosen = null; // a call the visitor picked; null follows the newest
    this.drawer = byId("hood");
    wire.addEventListener("call", ({ detail }) => this.note(detail));
    this.drawer.addEventListener("toggle", () => this.draw());
    byId("hood-calls").addEventListener("change", (event) => {
      this.chosen = event.target.value === "" ? null : this.calls.find((entry) => String(entry.number) === event.target.value);
      this.draw();
    });
    this.number = 0;
  }

  note(entry) {
    entry.number = this.number += 1;
    entry.at = new Date();
    this.calls.unshift(entry);
    this.calls.length = Math.min(this.calls.length, CALLS_KEPT);
    entry.quiet = entry.path === "readyz" || entry.request?.events?.every(({ kind }) => kind === "impression");
    if (!entry.quiet) {
      byId("hood-call").textContent = `${entry.method} /${entry.path} · ${entry.status || "no answer"} · ${milliseconds(entry.ms)}`;
    }
    if (this.drawer.open) this.draw();
  }

  /** The newest event's fate, in words. */
  tell(...words) {
    byId("hood-news").replaceChildren(icon("pulse"), ...words);
    if (this.drawer.open) this.draw();
  }

  draw() {
    if (!this.drawer.open) return;
    const entry = this.chosen ?? this.calls.find(({ quiet }) => !quiet);
    byId("hood-calls").replaceChildren(
      el("option", { value: "" }, "the newest call"),
      ...this.calls.map((c) => el("option", { value: c.number, selected: c === this.chosen }, `${c.at.toLocaleTimeString([], { hour12: false })}  ${c.method} /${c.path}  ${c.status}  ${milliseconds(c.ms)}`)),
    );
    if (entry) {
      byId("hood-request").replaceChildren(`${entry.method} /${entry.path}\n`, ...(entry.request ? coloured(entry.request) : []));
      byId("hood-answer").replaceChildren(`${entry.status} in ${milliseconds(entry.ms)}\n`, ...coloured(entry.answer));
    }
    byId("hood-events").replaceChildren(
      ...events.map(({ kind, what, at, acknowledged, visible }) =>
        el(
          "li",
          {},
          el("time", {}, at.toLocaleTimeString([], { hour12: false })),
          el("strong", {}, kind),
          el("span", { class: "what", dir: "auto" }, what ?? ""),
          el("span", { class: "took" }, `on disk ${milliseconds(acknowledged)}`, visible ? ` · visible ${milliseconds(visible)}` : ""),
        ),
      ),
    );
  }
}
