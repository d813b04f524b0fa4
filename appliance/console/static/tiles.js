// Saved images as tiles that are chosen by a tap: in the tray, and where images go to the right patient.

import { make } from "./elements.js";
import { text } from "./texts.js";
import { bytesText, clockText } from "./words.js";

/** Draw `objects` into `box`; tiles that are there stay. `chosen` is a set of SOP Instance UIDs, `titles` names devices. */
export function drawTiles(box, objects, chosen, titles, onChange) {
  const wanted = new Set(objects.map((object) => object.sop_instance_uid));
  for (const uid of [...chosen]) if (!wanted.has(uid)) chosen.delete(uid);
  for (const tile of [...box.children]) if (!wanted.has(tile.dataset.uid)) tile.remove();
  const there = new Map([...box.children].map((tile) => [tile.dataset.uid, tile]));
  for (const object of objects) {
    const uid = object.sop_instance_uid;
    const tile = there.get(uid) || box.appendChild(tileOf(object, titles, chosen, onChange));
    tile.setAttribute("aria-checked", String(chosen.has(uid)));
  }
}

function tileOf(object, titles, chosen, onChange) {
  const uid = object.sop_instance_uid;
  const title = titles.get(object.device) || object.device;
  return make(
    "button",
    {
      type: "button",
      class: "choice",
      role: "checkbox",
      ariaChecked: "false",
      testid: "choice",
      data: { uid },
      onclick: () => {
        if (!chosen.delete(uid)) chosen.add(uid);
        onChange();
      },
    },
    make("span", { class: "choice-frame" }, make("img", { alt: "", src: `/api/objects/${uid}/thumbnail`, onerror: dropImage })),
    make("span", { class: "choice-title", text: title }),
    make("span", { class: "small", text: text("tiles.details", { time: clockText(object.saved_at || ""), amount: bytesText(object.bytes) }) }),
  );
}

/** The words beside a picture that cannot be shown say what it is. */
export function dropImage(event) {
  event.target.remove();
}
