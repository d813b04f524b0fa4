// Ending an exam: what will be sent where, and the reason when it is abandoned (a code of the box's own table).

import { byId, make, nameElements } from "./elements.js";
import { text } from "./texts.js";
import { kindText, titlesOf } from "./words.js";

const AT_WORK = new Set(["recording", "receiving", "scanning"]);

let reason = "";

function whoElement(exam) {
  return make("p", { class: "large" }, ...nameElements(exam.names));
}

function countByKind(captured) {
  const counts = new Map();
  for (const object of captured) counts.set(kindText(object.kind), (counts.get(kindText(object.kind)) || 0) + 1);
  return [...counts].map(([kind, count]) => text("ending.of_kind", { count, kind })).join(text("said.comma"));
}

/** What goes as which series, a line for each device. */
function seriesLines(captured, devices, exam) {
  const titles = titlesOf(devices);
  const counts = new Map();
  for (const { device } of captured) counts.set(device, (counts.get(device) || 0) + 1);
  return [...counts].map(([device, count]) => {
    const name = exam.series?.[device] || text("review.no_series");
    return make("p", { class: "muted", testid: "ending-series", text: text("ending.series", { count, device: titles.get(device) || device, name }) });
  });
}

/** What ending does, drawn again with every poll: something may still arrive. */
export function drawEnding(state) {
  const { exam, captured, discarded, destinations, devices } = state;
  const lines = [];
  if (captured.length === 0) {
    lines.push(make("p", { class: "warn", testid: "ending-empty", text: text("ending.empty") }));
  } else {
    const where = destinations.length ? destinations.join(text("said.comma")) : text("ending.nowhere");
    lines.push(
      make(
        "p",
        { class: "large", testid: "ending-count" },
        text("ending.count", { count: captured.length, where }),
      ),
      make("p", { text: countByKind(captured) }),
      ...seriesLines(captured, devices, exam),
      make("p", {
        class: "muted",
        text: text(state.tellsPerformedStep ? "ending.tells" : "ending.tells_nobody"),
      }),
    );
  }
  if (discarded.length)
    lines.push(make("p", { class: "muted", testid: "ending-discarded", text: text("ending.discarded", { count: discarded.length }) }));
  if (state.unassigned)
    lines.push(make("p", { class: "warn", testid: "ending-unassigned", text: text("ending.unassigned", { count: state.unassigned }) }));
  for (const device of devices.filter((one) => AT_WORK.has(one.state)))
    lines.push(
      make("p", {
        class: "warn",
        testid: "ending-at-work",
        text: text("ending.at_work", { device: device.title }),
      }),
    );
  setCard("ending-card", [make("p", { class: "question", text: text("ending.question") }), whoElement(exam), ...lines]);
}

/** Begin with no reason chosen; `onReason()` when one is. */
export function drawAbandoning(state, onReason) {
  reason = "";
  byId("confirm-abandon").disabled = true;
  const choices = state.reasons.map(({ code }) =>
    make("button", {
      type: "button",
      class: "reason",
      role: "radio",
      ariaChecked: "false",
      testid: "reason",
      data: { code },
      text: text(`reason.${code}`),
      onclick: (event) => {
        reason = code;
        for (const choice of choices) choice.setAttribute("aria-checked", String(choice === event.currentTarget));
        onReason();
      },
    }),
  );
  const kept = state.captured.length
    ? text("abandoning.kept", { count: state.captured.length })
    : text("abandoning.empty");
  byId("abandoning-card").replaceChildren(
    make("p", { class: "question", text: text("abandoning.question") }),
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
