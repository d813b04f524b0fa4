// The strip below the picture: what was captured in this exam, and that it is saved, never before it is.

import { byId, make, setText } from "./elements.js";
import { text } from "./texts.js";
import { bytesText, clockText, kindText } from "./words.js";

let shownExam = null;
let open = () => {};
const tiles = new Map(); // SOP Instance UID → element
const answered = new Map(); // objects that a command answered and that no poll has listed yet
const expected = new Set();

/** A tap was made that will give an object: a tile that says *saving*. */
export function expectObject(device, kind) {
  const tile = make(
    "div",
    { class: "tile expected", testid: "strip-saving", data: { device } },
    make("span", { class: "tile-kind", text: kindText(kind) }),
    make("span", { class: "tile-state", text: text("strip.saving") }),
  );
  expected.add(tile);
  byId("strip").append(tile);
  scrollToEnd();
  return tile;
}

export function forgetExpected(tile) {
  expected.delete(tile);
  tile.remove();
}

/** A command's answer: the object is durable. */
export function keepAnswer(device, examId, answer) {
  if (examId !== shownExam) return;
  const object = { ...answer, device };
  answered.set(answer.sop_instance_uid, object);
  addTile(object);
}

/** Show `captured` (GET /api/exam) of the exam; tiles that are there stay as they are. */
export function drawStrip(captured, discarded, examId, onOpen) {
  open = onOpen;
  if (examId !== shownExam) {
    shownExam = examId;
    tiles.clear();
    answered.clear();
    byId("strip").replaceChildren(...expected);
  }
  for (const object of [...captured, ...discarded]) addTile(object);
  const gone = new Set(discarded.map((object) => object.sop_instance_uid));
  const here = new Set([...gone, ...captured.map((object) => object.sop_instance_uid)]);
  for (const uid of here) answered.delete(uid);
  for (const [uid, tile] of tiles) {
    tile.classList.toggle("discarded", gone.has(uid));
    const state = tile.querySelector(".tile-state");
    state.dataset.testid = gone.has(uid) ? "discarded" : "saved";
    setText(state, gone.has(uid) ? text("strip.discarded") : state.dataset.saved);
    if (!here.has(uid) && !answered.has(uid)) {
      tile.remove(); // it is in another exam, or in this one anew
      tiles.delete(uid);
    }
  }
  const strip = byId("strip");
  const isEmpty = tiles.size === 0 && expected.size === 0;
  strip.dataset.count = String(captured.length);
  if (isEmpty && !strip.querySelector(".hint"))
    strip.replaceChildren(make("p", { class: "hint", text: text("strip.empty") }));
  else if (!isEmpty) strip.querySelector(".hint")?.remove();
}

function addTile(object) {
  const known = tiles.get(object.sop_instance_uid);
  if (known) {
    // A clip of which one frame came is a still, which its device's answer did not know.
    known.dataset.kind = object.kind;
    setText(known.querySelector(".tile-kind"), kindText(object.kind));
    return;
  }
  const savedText = text("strip.saved", { time: clockText(object.saved_at) });
  const tile = make(
    "button",
    {
      type: "button",
      class: "tile",
      onclick: () => open(object.sop_instance_uid),
      testid: "strip-item",
      data: { uid: object.sop_instance_uid, device: object.device, kind: object.kind },
      title: bytesText(object.bytes),
    },
    make("img", {
      alt: "",
      src: `/api/devices/${object.device}/thumbnail/${object.sop_instance_uid}`,
      onerror: lookAgain,
    }),
    make("span", { class: "tile-kind", text: kindText(object.kind) }),
    make("span", { class: "tile-state saved", testid: "saved", data: { saved: savedText }, text: savedText }),
  );
  tiles.set(object.sop_instance_uid, tile);
  byId("strip").insertBefore(tile, [...expected][0] ?? null);
  byId("strip").dataset.count = String(tiles.size);
  scrollToEnd();
}

/** What its device does not remember any more is read from the object; where that fails the words say what it is. */
function lookAgain(event) {
  const image = event.target;
  const stored = `/api/objects/${image.closest(".tile").dataset.uid}/thumbnail`;
  if (image.getAttribute("src") === stored) image.remove();
  else image.src = stored;
}

function scrollToEnd() {
  const strip = byId("strip");
  strip.scrollLeft = strip.scrollWidth;
}
