// Wrong patient: which images, and then the worklist, on which the right one is chosen and confirmed as always.

import { byId, make, setText, show } from "./elements.js";
import { get } from "./link.js";
import { text } from "./texts.js";
import { drawTiles } from "./tiles.js";
import { titlesOf, whoText } from "./words.js";

/** What the archive needs, and who does it. */
function sentText({ sent, is_enabled }) {
  if (sent === 0) return text("wrong.sent_none");
  return text(is_enabled ? "wrong.sent_corrected" : "wrong.sent_asked", { count: sent });
}

export class WrongPatient {
  /** `panel` is what panel.js offers to the screens of images. */
  constructor(panel) {
    this.panel = panel;
    this.chosen = new Set();
    this.correction = null; // of an exam that has ended: what may be done about it
    byId("wrong-back").addEventListener("click", () => panel.leave());
    byId("wrong-next").addEventListener("click", () => this.choosePatient());
  }

  /** The open exam's images: all of them, until a tap says otherwise. */
  open(exam, captured) {
    this.begin(exam, captured, null);
  }

  /** Those of an exam that has ended, as far as they are here; the box says what its archive needs. */
  async openEnded(exam) {
    const correction = await get(`/api/exam/${exam.exam_id}/correction`, 15_000);
    this.begin(exam, correction.instances, correction);
  }

  begin(exam, objects, correction) {
    Object.assign(this, { exam, objects, correction });
    this.chosen = new Set(objects.map((object) => object.sop_instance_uid));
    byId("wrong-list").replaceChildren();
    byId("wrong-who").replaceChildren(
      make("p", { class: "question", text: text("wrong.question", { who: whoText(exam) }) }),
      ...(correction ? [make("p", { class: "warn", testid: "correction", text: sentText(correction) })] : []),
    );
    this.panel.show("wrong");
  }

  draw(state) {
    drawTiles(byId("wrong-list"), this.objects, this.chosen, titlesOf(state.devices), () => this.panel.draw());
    const isAllowed = !this.correction || this.correction.is_enabled || this.correction.sent === 0;
    show(byId("wrong-next"), isAllowed);
    const isAll = this.chosen.size === this.objects.length;
    setText(byId("wrong-next"), isAll ? text("wrong.next_all") : text("wrong.next", { count: this.chosen.size }));
    byId("wrong-next").disabled = this.objects.length > 0 && this.chosen.size === 0;
  }

  choosePatient() {
    const isAll = this.chosen.size === this.objects.length;
    this.panel.pick({
      kind: this.correction ? "correct" : "move",
      examId: this.exam.exam_id,
      who: whoText(this.exam),
      uids: isAll && !this.correction ? null : [...this.chosen],
      count: this.chosen.size,
    });
  }
}
