// The form of a new box's set-up: what is typed, the two choices, and what is wrong with a field that was left.

import { byId, make, setText, show } from "./elements.js";
import { BoxError, post } from "./link.js";
import { text } from "./texts.js";

const CHOICES = { is_fixed: { false: "dhcp", true: "fixed" }, has_commitment: { true: "commits", false: "commits_not" } };

const fields = () => [...document.querySelectorAll("[data-field]")];
const chosen = { is_fixed: false, has_commitment: true };
const left = new Set(); // the fields that somebody was in
let asked = 0;

/** What the box is asked to put in force (POST /api/first/set-up). */
export function typed() {
  return { ...Object.fromEntries(fields().map((field) => [field.dataset.field, field.value])), ...chosen };
}

export function drawForm() {
  for (const [name, values] of Object.entries(CHOICES))
    byId(`first-${name}`).replaceChildren(
      ...Object.entries(values).map(([value, key]) =>
        make("button", {
          type: "button",
          class: "chip",
          role: "radio",
          testid: "chosen",
          data: { name, value },
          ariaChecked: String(String(chosen[name]) === value),
          text: text(`first.${key}`),
          onclick: () => {
            chosen[name] = value === "true";
            drawForm();
          },
        }),
      ),
    );
  show(byId("first-fixed"), chosen.is_fixed);
}

export function clearWrong() {
  for (const field of fields()) showProblem(field, "");
}

/** Each field is looked at when it is left; `sayError(error)` where the box does not answer. */
export function watchForm(sayError) {
  byId("first-form").addEventListener("submit", (event) => event.preventDefault());
  byId("first-form").addEventListener("focusout", async ({ target }) => {
    if (!target.dataset?.field) return;
    left.add(target.dataset.field);
    asked += 1;
    const mine = asked;
    try {
      const { problems } = await post("/api/first/check", typed());
      if (mine === asked) for (const field of fields()) if (left.has(field.dataset.field)) showProblem(field, problems[field.dataset.field]);
    } catch (error) {
      if (!(error instanceof BoxError)) throw error;
      sayError(error);
    }
  });
}

/** Show everything that is wrong; false when nothing is. */
export function showWrong(problems) {
  asked += 1;
  for (const field of fields()) {
    left.add(field.dataset.field);
    showProblem(field, problems[field.dataset.field]);
  }
  const first = fields().find((field) => problems[field.dataset.field]);
  first?.scrollIntoView({ block: "center" });
  return Boolean(first);
}

function showProblem(field, problem) {
  const line = byId(`wrong-${field.dataset.field}`);
  setText(line, problem ? text(`first.wrong_${problem}`) : "");
  show(line, Boolean(problem));
  field.setAttribute("aria-invalid", String(Boolean(problem)));
}
