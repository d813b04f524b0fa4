// Which patients on the list have names that are easily taken for one another. Pure functions.

import { foldText } from "./words.js";

// Spellings of one sound, as clerks hear it.
const SPELLINGS = [
  [/ß/g, "s"],
  [/ae/g, "a"],
  [/oe/g, "o"],
  [/ue/g, "u"],
  [/ph/g, "f"],
  [/th|dt|d\b/g, "t"],
  [/ck|c|q/g, "k"],
  [/ey|ei|ay|ai/g, "ai"],
  [/[jy]/g, "i"],
  [/w/g, "v"],
  [/(.)\1+/gu, "$1"],
];
const SHORTEST_TO_MISTYPE = 6;

/** What of a name is heard: its words in the order of the alphabet, one spelling for each sound, no titles (`Dr.`). */
export function soundOf(name) {
  const plain = SPELLINGS.reduce(
    (said, [spelled, sound]) => said.replace(spelled, sound),
    foldText(name).replace(/\S+\.(?=\s|$)/gu, " "),
  );
  return plain.split(/[\s,^-]+/u).filter(Boolean).sort().join(" ");
}

/** `sound`, and it without one letter each: names that differ by one letter have one of these in common. */
function nearOf(sound) {
  const near = [sound];
  if (sound.length < SHORTEST_TO_MISTYPE) return near;
  for (let place = 0; place < sound.length; place += 1)
    if (!/[\d ]/.test(sound[place])) near.push(sound.slice(0, place) + sound.slice(place + 1));
  return near;
}

/** What tells one patient from another; the same for an entry that was read anew. */
export const whoOf = (item) => `${item.patient_id}\n${item.birth_date}\n${item.names.join("\n")}`;

const AT_ONCE = 300;

/** Who → another patient's item with a similar name, for those that have one. Pauses at each yield, where a long list
 *  would hold up the page; its value is at the end. */
export function* lookForSimilar(items) {
  const patients = new Map(); // who → its first item: a patient's further steps are not looked at
  for (const item of items) if (!patients.has(whoOf(item))) patients.set(whoOf(item), item);
  const known = new Map(); // near → the first patient that has it
  const others = new Map(); // who → another patient
  let looked = 0;
  for (const [who, item] of patients) {
    for (const near of new Set(item.names.flatMap((name) => nearOf(soundOf(name))))) {
      const other = known.get(near);
      if (other === undefined) known.set(near, who);
      else if (other !== who) {
        if (!others.has(who)) others.set(who, patients.get(other));
        if (!others.has(other)) others.set(other, item);
      }
    }
    looked += 1;
    if (looked % AT_ONCE === 0) yield;
  }
  return others;
}
