// The texts of the page's language. The page bears them (catalogue.py), so that none has to be waited for.

const given = JSON.parse(document.getElementById("texts").textContent);
const plural = new Intl.PluralRules(given.language);
const isRightToLeft = document.documentElement.dir === "rtl";

export const language = given.language;
/** Code → the language's name in itself, of all that there are. */
export const { languages } = given;
/** 12 or 24, as the site reads the clock. */
export const clockHours = given.clock_hours;
/** `22:00-06:00`, when the screen may be dark; empty: never. After how many seconds without a touch. */
export const { night, dark_seconds: darkSeconds } = given;

/** The text of `key` with `values` in it; of a text with plural forms the one of `values.count`. */
export function text(key, values = {}) {
  const found = given.texts[key];
  if (found === undefined) throw new Error(`The catalogue has no text ${key}.`);
  const form = typeof found === "string" ? found : (found[plural.select(values.count)] ?? found.other);
  return form.replace(/\{(\w+)\}/g, (_whole, name) => isolated(values[name]));
}

export const hasText = (key) => key in given.texts;

/** A value keeps its own direction in a text that runs from right to left (Unicode UAX #9, isolates).
 *
 *  Digits have theirs already: isolated, a date's parts would stand in the order of the text.
 */
function isolated(value) {
  const isPlain = !isRightToLeft || value === "" || typeof value !== "string" || /^[\d.,:/-]*$/.test(value);
  return isPlain ? String(value) : `\u2068${value}\u2069`;
}

const numbers = new Map();

/** A number as the language writes it, always in the digits 0 to 9: the old machines show no others. */
export function numberText(number, decimals = 0) {
  if (!numbers.has(decimals))
    numbers.set(
      decimals,
      new Intl.NumberFormat(`${given.language}-u-nu-latn`, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
    );
  return numbers.get(decimals).format(number);
}

// The box's parts speak English, and so do their logs. The page bears what they say by its English words (sentences.py):
// where a brace stands there is a value, which may be such words again.
const MOST_PARTS = 4;
const MOST_REMEMBERED = 400;
// What may hold more than one sentence of somebody else.
const IS_SPEECH = /^(sentence|why|words|lost|found|free)$/;
const IS_PART = /^(what|why)$/;
const known = Object.entries(given.sentences)
  .flatMap(withParts)
  .map(([english, own]) => {
    const names = [...english.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const parts = english.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const letters = parts.join("").replace(/[^a-z]/giu, "").length;
    const source = parts.reduce((all, part, place) => all + patternOf(names[place - 1]) + part);
    return { source: `^${source}$`, literal: english.split(/\{\w+\}/), names, own, letters };
  })
  .sort((one, other) => other.letters - one.letters);
const remembered = new Map();

/** Where nothing tells a machine's name from what it did, each of the parts that are known stands in the sentence. */
function withParts([english, own]) {
  const [whole, name] = /\{device\} \{(what|why)\}/.exec(english) || [];
  if (!whole) return [[english, own]];
  const parts = Object.entries(given.sentences).filter(([part, one]) => /^[a-z{].*[^.!?:]$/.test(part) && typeof one === "string");
  return [[english, own], ...parts.map(([part, one]) => [english.replace(`{${name}}`, part), own.replace(`{${name}}`, one)])];
}

/** English grammar (`s`) may be empty; a value ends before the next sentence does. */
function patternOf(name) {
  if (["s", "steps", "were"].includes(name)) return "([a-z ]*?)";
  if (name === "count") return "([\\d,]+)";
  if (name === "count_so_far") return "((?: after [\\d,]+ bytes)?)";
  if (name === "lost" || name === "found") return "(.*?)";
  // Who a peer is: its title has no blank as a rule, and without that "at" would be found in any words.
  if (name === "ae_title") return "([!-\\[\\]-~]{1,16})";
  if (name === "host") return "([\\w.:\\[\\]-]+)";
  if (IS_SPEECH.test(name)) return "(.+?)";
  return "((?:[^.!?]|[.!?](?! |$))+?)";
}

/** What a part of the box said, in the page's language; what nobody translated, a peer's words, as it came. */
export function said(sentence) {
  if (!sentence || known.length === 0) return sentence;
  if (!remembered.has(sentence)) {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    remembered.set(sentence, translated(sentence));
  }
  return remembered.get(sentence);
}

function translated(sentence) {
  const parts = sentence.trim().split(/(?<=[.!?]) /u);
  const done = [];
  for (let place = 0; place < parts.length; ) {
    let own = null;
    let end = Math.min(parts.length, place + MOST_PARTS);
    for (; end > place; end -= 1) {
      own = phrase(parts.slice(place, end).join(" "));
      if (own !== null) break;
    }
    done.push(own ?? isolated(parts[place]));
    place = Math.max(end, place + 1);
  }
  return done.join(" ").trim();
}

/** The words of the language for these English ones, or null. */
function phrase(english) {
  for (const one of known) {
    if (!holds(english, one.literal)) continue;
    const { names, own, letters } = one;
    one.pattern ||= new RegExp(one.source, "u");
    const match = one.pattern.exec(english);
    if (!match) continue;
    const values = Object.fromEntries(names.map((name, place) => [name, valueText(match[place + 1])]));
    // What is nearly all values says something only if those do.
    if (letters < 4 && names.some((name, place) => IS_PART.test(name) && values[name] === match[place + 1])) continue;
    const form = typeof own === "string" ? own : (own[plural.select(Number(values.count))] ?? own.other);
    return form.replace(/\{(\w+)\}/g, (_whole, name) => isolated(values[name])).replace(/ +(?=[.。])/gu, "");
  }
  return null;
}

/** True when all of `parts` stand in `english` in their order: few sentences are worth a closer look. */
function holds(english, parts) {
  let place = 0;
  for (const part of parts) {
    const found = english.indexOf(part, place);
    if (found < 0) return false;
    place = found + part.length;
  }
  return english.startsWith(parts[0]) && english.endsWith(parts.at(-1));
}

function valueText(value) {
  if (/^\d+\.\d+$/.test(value)) return numberText(Number(value), value.split(".")[1].length);
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(value) || [];
  if (day) return text("date.day", { year, month: text("date.months").split(" ")[Number(month) - 1], day });
  const listed = value.split(/, or | and |, |; /);
  const own = listed.length > 1 ? listed.map(phrase) : [null];
  if (!own.includes(null)) return own.join(text("said.comma"));
  const found = value && phrase(value.trim());
  if (found) return found;
  return /[.!?]$/.test(value) ? translated(value) : value;
}
