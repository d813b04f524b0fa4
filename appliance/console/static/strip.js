// The strip below the picture: what was captured in this exam, and that it is saved, never before it is.

import { byId, make } from "./elements.js";
import { text } from "./texts.js";
import { bytesText, clockText, kindText } from "./words.js";

let shownExam = null;
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
export function drawStrip(captured, examId) {
  if (examId !== shownExam) {
    shownExam = examId;
    tiles.clear();
    answered.clear();
    byId("strip").replaceChildren(...expected);
  }
  for (const object of captured) addTile(object);
  const strip = byId("strip");
  const isEmpty = tiles.size === 0 && expected.size === 0;
  strip.dataset.count = String(tiles.size);
  if (isEmpty && !strip.querySelector(".hint"))
    strip.replaceChildren(make("p", { class: "hint", text: text("strip.empty") }));
  else if (!isEmpty) strip.querySelector(".hint")?.remove();
}

function addTile(object) {
  const known = tiles.get(object.sop_instance_uid);
  if (known) {
    // A poll may list an object before its device has told what kind it is.
    if (object.kind && !known.dataset.kind) {
      known.dataset.kind = object.kind;
      known.querySelector(".tile-kind").textContent = kindText(object.kind);
    }
    return;
  }
  const details = [object.frames > 1 ? text("amount.frames", { count: object.frames }) : "", bytesText(object.bytes)];
  const tile = make(
    "div",
    {
      class: "tile",
      testid: "strip-item",
      data: { uid: object.sop_instance_uid, device: object.device, kind: object.kind || "" },
      title: details.filter(Boolean).join(", "),
    },
    make("img", {
      alt: "",
      src: `/api/devices/${object.device}/thumbnail/${object.sop_instance_uid}`,
      onerror: (event) => event.target.remove(), // the words below say what it is
    }),
    make("span", { class: "tile-kind", text: kindText(object.kind) }),
    make("span", { class: "tile-state saved", testid: "saved", text: text("strip.saved", { time: clockText(object.saved_at) }) }),
  );
  tiles.set(object.sop_instance_uid, tile);
  byId("strip").insertBefore(tile, [...expected][0] ?? null);
  byId("strip").dataset.count = String(tiles.size);
  scrollToEnd();
}

function scrollToEnd() {
  const strip = byId("strip");
  strip.scrollLeft = strip.scrollWidth;
}
