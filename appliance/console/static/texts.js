// The texts of the page's language. The page bears them (catalogue.py), so that none has to be waited for.

const given = JSON.parse(document.getElementById("texts").textContent);
const plural = new Intl.PluralRules(given.language);
const isRightToLeft = document.documentElement.dir === "rtl";

export const language = given.language;
/** Code → the language's name in itself, of all that there are. */
export const { languages } = given;
/** 12 or 24, as the site reads the clock. */
export const clockHours = given.clock_hours;

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
  const isPlain = !isRightToLeft || typeof value !== "string" || /^[\d.,:/-]*$/.test(value);
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

// The box's parts speak English. What people meet most is in the catalogue by its English words: [pattern, key, values].
const known = Object.entries(given.english).map(([key, english]) => {
  const names = [...english.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const parts = english.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return [new RegExp(`^${parts.join("(.+?)")}$`, "u"), key, names];
});

/** What a part of the box said, in the page's language where the catalogue has it; else as it came, in English. */
export function said(sentence) {
  if (!sentence || known.length === 0) return sentence;
  const whole = translated(sentence);
  if (whole !== null) return whole;
  const parts = sentence.split(/(?<=[.!?]) /u).map(translated);
  if (!parts.includes(null)) return parts.join(" ");
  return isRightToLeft ? `\u2066${sentence}\u2069` : sentence;
}

function translated(sentence) {
  for (const [pattern, key, names] of known) {
    const match = pattern.exec(sentence);
    if (match) return text(key, Object.fromEntries(names.map((name, place) => [name, match[place + 1]])));
  }
  return null;
}
