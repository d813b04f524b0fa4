// The keyboard on the screen, for fields that are tapped by a finger: the compositor's own would hide behind the page.
// Its letters are the catalogue's: Latin ones for everybody, and those of the page's language.

import { byId, make, show } from "./elements.js";
import { text } from "./texts.js";

const LAYERS = { latin: "keyboard.latin", own: "keyboard.own", digits: "keyboard.digits" };
// Behind a letter these make another one of it.
const COMBINING = { "\u309b": "\u3099", "\u309c": "\u309a" };

let field = null;
let layer = "latin";
let isUpper = true;

/** Show the keyboard whenever a field of the page is tapped with a finger, until it is left. */
export function watchFields() {
  let isTouch = false;
  document.addEventListener("pointerdown", (event) => {
    isTouch = event.pointerType === "touch";
  });
  // Behind everything else that a tap does: the page moves when the keyboard comes.
  document.addEventListener("click", (event) => {
    const isField = event.target instanceof HTMLInputElement && event.target.type !== "range";
    if (isField && isTouch) open(event.target);
  });
  document.addEventListener("focusout", (event) => {
    // From field to field it stays: if the page moved now, the tap would end elsewhere.
    if (event.target === field && !(event.relatedTarget instanceof HTMLInputElement)) close();
  });
}

function open(input) {
  input.focus();
  if (field === input) return;
  field = input;
  layer = input.dataset.keyboard || "latin";
  isUpper = input.dataset.case ? input.dataset.case === "upper" : input.type !== "search" && input.value === "";
  draw();
  show(byId("keyboard"), true);
  document.body.classList.add("types");
  input.scrollIntoView({ block: "center" });
}

function close() {
  field = null;
  show(byId("keyboard"), false);
  document.body.classList.remove("types");
}

function draw() {
  // A letter whose capital is two letters stays as it is.
  const cased = (letter) => (isUpper && letter.toUpperCase().length === 1 ? letter.toUpperCase() : letter);
  const rows = text(LAYERS[layer])
    .split(" ")
    .map((row) => [...row].map((letter) => key(cased(letter), "", () => type(cased(letter)))));
  const others = Object.keys(LAYERS).filter((name) => name !== layer);
  rows.push([
    ...(layer === "digits" ? [] : [key(text("keyboard.shift"), "shift", () => turn({ upper: !isUpper }))]),
    ...others.map((name) => key(text(`keyboard.to_${name}`), name, () => turn({ name }))),
    key(text("keyboard.space"), "space", () => type(" ")),
    key(text("keyboard.erase"), "erase", erase),
    key(text("keyboard.done"), "done", () => field?.blur()),
  ]);
  byId("keyboard").replaceChildren(...rows.map((keys) => make("div", { class: "keys" }, ...keys)));
}

function key(words, name, act) {
  const button = make("button", {
    type: "button",
    class: name ? `key ${name}` : "key",
    testid: "key",
    tabIndex: -1,
    data: { key: name || words },
    ariaPressed: name === "shift" ? String(isUpper) : undefined,
    text: words,
    onclick: act,
  });
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps its focus
  return button;
}

function turn({ name = layer, upper = isUpper }) {
  layer = name;
  isUpper = upper;
  draw();
}

function type(letter) {
  if (!field) return;
  const place = field.selectionStart ?? field.value.length;
  const before = field.value.slice(0, place);
  if (COMBINING[letter] && before) {
    const joined = (before.at(-1) + COMBINING[letter]).normalize("NFC");
    if (joined.length === 1) put(joined, place - 1);
  } else if (field.maxLength < 0 || field.value.length < field.maxLength) {
    put(letter, place);
  }
  if (field.dataset.case) return; // the field's letters are all of one case
  if (isUpper && letter !== " ") turn({ upper: false });
  else if (letter === " " && field.type !== "search") turn({ upper: true });
}

function put(letter, from) {
  field.setRangeText(letter, from, field.selectionEnd ?? from, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function erase() {
  if (!field) return;
  const { selectionStart, selectionEnd } = field;
  put("", selectionStart === selectionEnd ? Math.max(0, selectionStart - 1) : selectionStart);
}
