// The picture of an item that has none: its kind of thing, standing on a shelf of its aisle's colour.
// The same item always gets the same picture.

import { FOOD } from "./pictograms_food.js";
import { GOODS } from "./pictograms_goods.js";
import { kindOf } from "./kinds.js";

const SVG = "http://www.w3.org/2000/svg";
const PICTOGRAMS = { ...FOOD, ...GOODS };

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  h ^= h >>> 15;
  return Math.imul(h, 2246822519) >>> 0;
}

function node(name, attributes, children = []) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const numbers = (text) => text.split(",").map(Number);

function shape(text) {
  const [ink, ...rest] = text.split(" ");
  const what = rest.join(" ");
  const look = { class: ink.startsWith("-") ? `line ink-${ink.slice(1)}` : `ink-${ink}` };
  if (what.startsWith("o ")) {
    return rest.slice(1).map((circle) => {
      const [cx, cy, rx, ry = rx] = numbers(circle);
      return node("ellipse", { ...look, cx, cy, rx, ry });
    });
  }
  if (what.startsWith("r ")) {
    return rest.slice(1).map((box) => {
      const [x, y, width, height, rx = 0] = numbers(box);
      return node("rect", { ...look, x, y, width, height, rx });
    });
  }
  return [node("path", { ...look, d: what })];
}

function pictogram(name, turn, transform) {
  const [hues, ...shapes] = PICTOGRAMS[name];
  const group = node("g", { class: "pictogram", transform }, shapes.flatMap(shape));
  const hue = hues[turn % hues.length];
  group.style.setProperty("--ink", hue);
  if (hue > 75 && hue < 175) group.classList.add("green"); // the eye sees green brighter than other hues
  return group;
}

/** What stands on the shelf: one, two or three of a kind. x and scale, back to front. */
const DISPLAYS = [
  [[80, 1.22]],
  [[101, 0.92], [68, 1.16]],
  [[59, 0.92], [92, 1.16]],
  [[46, 0.84], [114, 0.84], [80, 1.16]],
];

function backdrop(kind) {
  if (kind === 0) return [node("circle", { class: "motif", cx: 80, cy: 54, r: 46 })];
  if (kind === 1) return [node("path", { class: "motif", d: "M38 100V54A42 42 0 0 1 122 54V100Z" })];
  if (kind === 2) return [node("path", { class: "motif", d: "M0 74C30 40 58 84 92 52C116 30 140 44 160 30V112H0Z" })];
  return [node("path", { class: "motif", d: "M-10 112L62 0H104L32 112ZM64 112L136 0H178L106 112Z" })];
}

/** An <svg> for the item. `fields` may have title, category, brand. */
export function drawing(itemId, fields) {
  const [name, hue] = kindOf(fields);
  const seed = hash(itemId + (fields.title ?? ""));
  const display = DISPLAYS[seed % DISPLAYS.length];
  const turn = (seed >>> 4) % 7;
  const art = node("svg", { class: "art", viewBox: "0 0 160 112", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, [
    node("rect", { class: "wall", width: 160, height: 112 }),
    ...backdrop((seed >>> 8) % 4),
    node("rect", { class: "board", y: 95, width: 160, height: 17 }),
    node("rect", { class: "edge", y: 95, width: 160, height: 2.4 }),
    ...display.map(([x, scale]) => node("ellipse", { class: "shade", cx: x, cy: 97, rx: 29 * scale, ry: 3.4 })),
    ...display.map(([x, scale], i) => pictogram(name, turn + display.length - 1 - i, `translate(${x - 32 * scale} ${97 - 61.5 * scale}) scale(${scale})`)),
  ]);
  art.style.setProperty("--hue", hue + ((seed >>> 12) % 21) - 10);
  return art;
}
