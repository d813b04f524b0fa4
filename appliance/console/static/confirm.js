// Beside the patient on the confirm screen: further steps of the same patient, to be examined in one exam.

import { byId, make, show } from "./elements.js";
import { text } from "./texts.js";
import { timeText, whatText } from "./words.js";

/** Other entries of the list that are of the same patient as `item`; the box itself refuses those of another. */
export function sameStepsOf(item, items) {
  if (!item.patient_id) return [];
  const who = (one) => JSON.stringify([one.source, one.patient_id, one.names, one.birth_date]);
  return items.filter((one) => one.key !== item.key && who(one) === who(item));
}

/** Draw the steps that may be added; `onChange(keys)` with the keys of those that are. */
export function drawFurtherSteps(steps, onChange) {
  const added = new Set();
  const buttons = steps.map((step) =>
    make(
      "button",
      {
        type: "button",
        class: "reason",
        role: "checkbox",
        ariaChecked: "false",
        testid: "add-step",
        data: { key: step.key },
        onclick: (event) => {
          if (!added.delete(step.key)) added.add(step.key);
          event.currentTarget.setAttribute("aria-checked", String(added.has(step.key)));
          onChange([...added]);
        },
      },
      make("span", { class: "modality", text: step.modality }),
      ` ${timeText(step.scheduled_time)} `,
      make("bdi", { text: whatText(step), dir: "auto" }),
      make("bdi", { class: "small", text: step.accession_number ? ` ${text("who.accession", { number: step.accession_number })}` : "" }),
    ),
  );
  const box = byId("confirm-steps");
  box.replaceChildren(
    ...(steps.length ? [make("p", { class: "muted", text: text("confirm.add_steps") })] : []),
    ...buttons,
  );
  show(box, steps.length > 0);
}
