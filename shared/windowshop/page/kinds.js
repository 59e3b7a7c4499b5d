// Which pictogram an item gets: its category and title are looked through for words that mean one.

import { AISLES } from "./words.js";

const LATIN = new Map(); // "ice cream" -> [pictogram, aisle, how surely that pictogram]
const CHINESE = []; // [word, the same]
const HUES = new Map(AISLES.map(([name, hue]) => [name, hue]));
const LONGEST = 4; // words of a phrase
const GENERAL_AISLE = 0.1; // "grocery" says little
const GENERAL_WORD = 0.3; // "fruit" is produce, but need not be an apple

for (const [aisle, , kinds] of AISLES) {
  for (const [pictogram, words] of Object.entries(kinds)) {
    for (const word of words.split(",").filter(Boolean)) {
      const plain = word.replace("~", "");
      const hit = [pictogram, aisle, plain === word ? 1 : GENERAL_WORD];
      if (/[^\u0000-\u024f]/.test(plain)) CHINESE.push([plain, hit]);
      else if (!LATIN.has(plain)) LATIN.set(plain, hit);
    }
  }
}
CHINESE.sort((a, b) => b[0].length - a[0].length);

function singular(word) {
  if (word.length < 4 || word.endsWith("ss")) return word;
  if (word.endsWith("ies")) return word.slice(0, -3) + "y";
  if (/(ch|sh|x|ss|o)es$/.test(word)) return word.slice(0, -2);
  return word.endsWith("s") ? word.slice(0, -1) : word;
}

/** What `text` names, last word first, as [pictogram, aisle, how surely, words]. A phrase hides the words in it. */
function named(text) {
  const lower = text.toLowerCase().slice(0, 300);
  const raw = lower.split(/[^\p{L}\p{N}']+/u).filter(Boolean);
  const words = raw.map(singular);
  const found = [];
  for (let end = words.length; end > 0; ) {
    let length = Math.min(LONGEST, end);
    let hit;
    for (; length > 0 && !hit; length--) {
      hit = LATIN.get(words.slice(end - length, end).join(" ")) ?? LATIN.get(raw.slice(end - length, end).join(" "));
    }
    if (hit) found.push([...hit, length + 1]);
    end -= hit ? length + 1 : 1;
  }
  return found.concat(namedInChinese(lower));
}

function namedInChinese(text) {
  let rest = text;
  const found = [];
  for (const [word, hit] of CHINESE) {
    const at = rest.lastIndexOf(word);
    if (at < 0) continue;
    rest = rest.replaceAll(word, " ".repeat(word.length));
    found.push([at, [...hit, 1]]);
  }
  return found.sort((a, b) => b[0] - a[0]).map(([, hit]) => hit);
}

/** How much each level of a category path says; the last but one is the best witness. */
function weight(level, depth) {
  if (level === depth - 1) return 1;
  return level === depth - 2 ? 1.2 : 0.7;
}

/** [pictogram, background hue] of an item. All levels and the title vote for an aisle, so that "milk" in a body lotion's title is no carton; then for a pictogram of that aisle. */
export function kindOf(fields) {
  const path = fields.category ?? [];
  const levels = path.map((name, level) => [String(name), weight(level, path.length)]);
  levels.push([String(fields.title ?? ""), 0.5]);
  const aisles = new Map();
  const pictograms = new Map();
  for (const [text, says] of levels) {
    const best = new Map();
    named(text).forEach(([pictogram, aisle, surely, words], i) => {
      // the last word of a phrase is its head: a peanut butter sandwich is a sandwich
      const vote = says * (i ? 0.6 : 1) * (words > 1 ? 1.25 : 1) * (aisle === "general" ? GENERAL_AISLE : 1);
      best.set(aisle, Math.max(best.get(aisle) ?? 0, vote));
      const key = `${aisle} ${pictogram}`;
      pictograms.set(key, (pictograms.get(key) ?? 0) + vote * surely);
    });
    for (const [aisle, vote] of best) aisles.set(aisle, (aisles.get(aisle) ?? 0) + vote);
  }
  const top = (votes) => [...votes].reduce((a, b) => (b[1] > a[1] ? b : a), [null, 0])[0];
  const aisle = top(aisles);
  if (aisle === null) return ["tag", HUES.get("general")];
  const pictogram = top([...pictograms].filter(([key]) => key.startsWith(aisle + " "))).slice(aisle.length + 1);
  return [pictogram, HUES.get(aisle)];
}
