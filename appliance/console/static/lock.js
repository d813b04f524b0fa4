// The lock: who works here, and the PIN. Nothing of a patient is on the page while it is locked.

import { byId, make, setText } from "./elements.js";
import { text } from "./texts.js";
import { nameText } from "./words.js";

const MOST_DIGITS = 12;

let chosen = "";
let pin = "";
let drawn = "";

/** Draw the operators of `lock` (see the box's lock view); `unlock(operator, pin)` when a PIN was typed. */
export function drawLock(lock, unlock) {
  const key = JSON.stringify([lock.operators, chosen]);
  if (key === drawn) return;
  drawn = key;
  if (!lock.operators.includes(chosen)) chosen = lock.operators.length === 1 ? lock.operators[0] : "";
  const again = () => {
    drawn = "";
    drawLock(lock, unlock);
  };
  byId("lock-operators").replaceChildren(
    ...lock.operators.map((operator) =>
      make(
        "button",
        {
          type: "button",
          class: "reason",
          role: "radio",
          testid: "operator",
          data: { operator },
          ariaChecked: String(operator === chosen),
          onclick: () => {
            chosen = operator;
            pin = "";
            again();
          },
        },
        make("bdi", { text: nameText(operator) }),
      ),
    ),
  );
  byId("lock-pad").replaceChildren(
    ...[..."123456789"].map((digit) => padKey(digit, digit, () => type(digit))),
    padKey("erase", text("keyboard.erase"), () => erase()),
    padKey("0", "0", () => type("0")),
    padKey("enter", text("lock.unlock"), () => enter(unlock), "primary"),
  );
  drawPin();
}

function padKey(name, words, act, kind = "") {
  return make("button", { type: "button", class: kind, testid: "pin-key", data: { key: name }, text: words, onclick: act });
}

function drawPin() {
  setText(byId("lock-pin"), pin ? "•".repeat(pin.length) : text(chosen ? "lock.pin" : "lock.choose"));
}

function type(digit) {
  if (pin.length < MOST_DIGITS) pin += digit;
  drawPin();
}

function erase() {
  pin = pin.slice(0, -1);
  drawPin();
}

function enter(unlock) {
  const typed = pin;
  pin = "";
  drawPin();
  if (chosen && typed) unlock(chosen, typed);
}

/** A key of a real keyboard, while the lock is shown. */
export function typeIntoLock(key, unlock) {
  if (/^\d$/.test(key)) type(key);
  else if (key === "Backspace") erase();
  else if (key === "Enter") enter(unlock);
}
