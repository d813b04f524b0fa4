// Why an image is discarded: a dialog over the screen, with the box's own list of reasons.

import { byId, make, show } from "./elements.js";
import { text } from "./texts.js";

/** Ask for a reason (a code of the box); `onReason(code)` when one was tapped. */
export function askReason(reasons, count, onReason) {
  const dialog = byId("discarding");
  const close = () => show(dialog, false);
  dialog.replaceChildren(
    make("p", { class: "question", text: text("discarding.question", { count }) }),
    make(
      "div",
      { class: "reasons" },
      ...reasons.map((code) =>
        make("button", {
          type: "button",
          class: "reason",
          testid: "discard-reason",
          data: { code },
          text: text(`discarding.${code}`),
          onclick: () => {
            close();
            onReason(code);
          },
        }),
      ),
    ),
    make("button", { type: "button", testid: "discard-cancel", text: text("discarding.cancel"), onclick: close }),
  );
  show(dialog, true);
  dialog.querySelector("button").focus();
}
