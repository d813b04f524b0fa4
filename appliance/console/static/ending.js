// Ending an exam: what will be sent where, and the reason when it is abandoned (a code of the box's own table).

import { byId, make, nameElements } from "./elements.js";
import { countText, kindText } from "./words.js";

const AT_WORK = new Set(["recording", "receiving", "scanning"]);

let reason = "";

function whoElement(exam) {
  return make("p", { class: "large" }, ...nameElements(exam.names));
}

function countByKind(captured) {
  const counts = new Map();
  for (const object of captured) counts.set(kindText(object.kind), (counts.get(kindText(object.kind)) || 0) + 1);
  return [...counts].map(([kind, count]) => `${count} × ${kind.toLowerCase()}`).join(", ");
}

/** What ending does, drawn again with every poll: something may still arrive. */
export function drawEnding(state) {
  const { exam, captured, destinations, devices } = state;
  const lines = [];
  if (captured.length === 0) {
    lines.push(make("p", { class: "warn", testid: "ending-empty", text: "Nothing was captured. The hospital will see no examination." }));
  } else {
    const where = destinations.length ? destinations.join(", ") : "nowhere: no archive is configured";
    lines.push(
      make(
        "p",
        { class: "large", testid: "ending-count" },
        `${countText(captured.length, "object", "objects")} will be sent to ${where}`,
      ),
      make("p", { text: countByKind(captured) }),
      make("p", {
        class: "muted",
        text: state.tellsPerformedStep
          ? "The hospital will be told that the examination is completed."
          : "Nobody is configured to be told that the examination took place.",
      }),
    );
  }
  for (const device of devices.filter((one) => AT_WORK.has(one.state)))
    lines.push(
      make("p", {
        class: "warn",
        testid: "ending-at-work",
        text: `${device.title} is still ${device.state}. Ending waits for it, at most half a minute.`,
      }),
    );
  setCard("ending-card", [make("p", { class: "question", text: "End this exam?" }), whoElement(exam), ...lines]);
}

/** Begin with no reason chosen; `onReason()` when one is. */
export function drawAbandoning(state, onReason) {
  reason = "";
  byId("confirm-abandon").disabled = true;
  const choices = state.reasons.map(({ code, sentence }) =>
    make("button", {
      type: "button",
      class: "reason",
      role: "radio",
      ariaChecked: "false",
      testid: "reason",
      data: { code },
      text: sentence,
      onclick: (event) => {
        reason = code;
        for (const choice of choices) choice.setAttribute("aria-checked", String(choice === event.currentTarget));
        onReason();
      },
    }),
  );
  const kept = state.captured.length
    ? `${countText(state.captured.length, "object", "objects")} that are saved will be sent all the same, as of a discontinued examination.`
    : "Nothing was captured.";
  byId("abandoning-card").replaceChildren(
    make("p", { class: "question", text: "Why is this exam abandoned?" }),
    whoElement(state.exam),
    make("p", { class: "muted", text: kept }),
    make("div", { role: "radiogroup", class: "reasons" }, ...choices),
  );
}

export const chosenReason = () => reason;

function setCard(id, children) {
  const card = byId(id);
  const html = children.map((child) => child.outerHTML).join("");
  if (card.dataset.drawn === html) return;
  card.dataset.drawn = html;
  card.replaceChildren(...children);
}
