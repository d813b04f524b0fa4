// The tray of images that were taken while nobody was chosen: each with its picture, given to the exam in two taps.

import { askReason } from "./discarding.js";
import { byId, setText, show } from "./elements.js";
import { get, post } from "./link.js";
import { text } from "./texts.js";
import { drawTiles } from "./tiles.js";
import { titlesOf, whoText } from "./words.js";

export class Tray {
  /** `panel` is what panel.js offers to the screens of images. */
  constructor(panel) {
    this.panel = panel;
    this.objects = null;
    this.chosen = new Set();
    byId("tray-back").addEventListener("click", () => panel.leave());
    byId("tray-discard").addEventListener("click", () => this.discard());
    byId("tray-assign").addEventListener("click", (event) => this.assign(event.currentTarget));
  }

  open() {
    this.objects = null;
    this.chosen.clear();
    byId("tray-list").replaceChildren();
    this.panel.show("tray");
    this.ask().catch(this.panel.sayError);
  }

  /** One alone is meant: what waits by itself is chosen already. */
  async ask() {
    const { objects } = await get("/api/unassigned");
    const isFirst = this.objects === null;
    this.objects = objects;
    if (isFirst && objects.length === 1) this.chosen.add(objects[0].sop_instance_uid);
    this.panel.draw();
  }

  draw(state) {
    const { exam } = state;
    const count = this.chosen.size;
    if (this.objects) drawTiles(byId("tray-list"), this.objects, this.chosen, titlesOf(state.devices), () => this.panel.draw());
    show(byId("tray-empty"), this.objects?.length === 0);
    setText(byId("tray-assign"), exam ? text("tray.assign", { who: whoText(exam) }) : text("tray.choose"));
    byId("tray-assign").disabled = byId("tray-discard").disabled = this.panel.isBusy() || count === 0;
  }

  async assign(button) {
    const { exam } = this.panel.state;
    const uids = [...this.chosen];
    if (!exam) return this.panel.pick({ kind: "assign", uids });
    await this.panel.press(button, async () => {
      await post("/api/unassigned/assign", { uids, exam_id: exam.exam_id });
      this.panel.say(text("tray.assigned", { count: uids.length }));
      await this.leaveIfEmpty();
    });
  }

  discard() {
    const uids = [...this.chosen];
    askReason(this.panel.state.discardReasons, uids.length, (reason) =>
      this.panel.press(byId("tray-discard"), async () => {
        await post("/api/unassigned/discard", { uids, reason });
        await this.leaveIfEmpty();
      }),
    );
  }

  async leaveIfEmpty() {
    this.chosen.clear();
    await this.ask();
    if (this.objects.length === 0) this.panel.leave();
  }
}
