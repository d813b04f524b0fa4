// Making elements. Text is only ever set as text, never as markup: names come from outside.

import { text } from "./texts.js";
import { orderedNames } from "./words.js";

/** A new element. `options`: class, text, testid, data {name: value}, and any property of the element. */
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "testid") element.dataset.testid = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "role" || name.startsWith("aria")) element.setAttribute(name.replace("aria", "aria-").toLowerCase(), value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Show or hide without touching what is there already. */
export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** Set text only when it differs, so that a polled screen does not flicker or lose a selection. */
export function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Every name group in its own direction: a right-to-left name must not reorder what stands beside it. */
export function nameElements(names) {
  if (!names || names.length === 0) return [make("bdi", { class: "name-group missing", text: text("who.no_name") })];
  return orderedNames(names).map((group, index) =>
    make("bdi", { class: index === 0 ? "name-group" : "name-group further", text: group, dir: "auto" }),
  );
}

/** Make `wanted` the children of a scrolling element, which stays where it was scrolled to; who stands right stays. */
export function setChildren(element, wanted) {
  const place = element.scrollTop;
  const stays = new Set(wanted);
  for (const one of [...element.childNodes]) if (!stays.has(one)) one.remove();
  let next = element.firstChild;
  for (const one of wanted) {
    if (one === next) next = next.nextSibling;
    else element.insertBefore(one, next);
  }
  element.scrollTop = place;
}
