// Is this still the patient? Asked over everything else when nobody touched the panel for a while.

import { byId, make, nameElements, setText, show } from "./elements.js";
import { text } from "./texts.js";
import { birthText, spanText } from "./words.js";

let drawn = "";

/** Draw the question of `presence` about `exam`, or take it away. */
export function drawPresence(presence, exam, now) {
  const isAsked = Boolean(exam && presence?.stage);
  show(byId("presence"), isAsked);
  if (!isAsked) return;
  const isWarning = presence.stage === "warn";
  byId("presence").dataset.stage = presence.stage;
  if (drawn !== exam.exam_id) {
    drawn = exam.exam_id;
    byId("presence-who").replaceChildren(
      make("p", { class: "huge" }, ...nameElements(exam.names)),
      make("p", { class: "large" }, make("bdi", { text: [birthText(exam, now), exam.patient_id].filter(Boolean).join(" · ") })),
    );
  }
  setText(byId("presence-question"), text("presence.question"));
  setText(byId("presence-warning"), isWarning ? text("presence.warning", { span: spanText(presence.seconds) }) : "");
  show(byId("presence-warning"), isWarning);
}
