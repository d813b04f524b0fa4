// One image of the exam, as large as the screen: looked at, played, discarded or taken back, its series called.

import { ClipPlayer } from "./clip.js";
import { askReason } from "./discarding.js";
import { byId, make, setText, show } from "./elements.js";
import { FilmWindow } from "./film.js";
import { post } from "./link.js";
import { text } from "./texts.js";
import { durationText, kindText, titlesOf } from "./words.js";

export class Review {
  /** `panel` is what panel.js offers to the screens of images. */
  constructor(panel) {
    this.panel = panel;
    this.uid = null;
    this.object = null;
    const canvas = byId("review-picture");
    this.player = new ClipPlayer(canvas, () => this.drawPlaying(), panel.sayError);
    this.film = new FilmWindow(canvas);
    byId("review-back").addEventListener("click", () => this.leave());
    byId("review-before").addEventListener("click", () => this.step(-1));
    byId("review-after").addEventListener("click", () => this.step(1));
    byId("review-play").addEventListener("click", () => this.playOrStop());
    byId("review-place").addEventListener("input", (event) => this.seek(Number(event.target.value)));
    byId("review-discard").addEventListener("click", () => this.discard());
    byId("review-take-back").addEventListener("click", (event) => this.takeBack(event.currentTarget));
    byId("review-wrong").addEventListener("click", () => panel.openWrong());
    byId("review-series").addEventListener("click", () => this.askSeries());
    byId("window-reset").addEventListener("click", () => this.film.samples && this.film.reset());
    canvas.addEventListener("pointerdown", (event) => this.drag(event));
  }

  open(uid) {
    this.panel.show("review");
    this.load(uid);
  }

  leave() {
    this.rest();
    this.panel.leave();
  }

  /** The screen is not shown: nothing is asked for, and no picture is kept. */
  rest() {
    this.player.stop();
    this.film.clear();
    show(byId("series"), false);
  }

  all() {
    const { captured, discarded } = this.panel.state;
    return [...captured, ...discarded].sort((one, other) => one.saved_at.localeCompare(other.saved_at));
  }

  async load(uid) {
    this.uid = uid;
    this.object = null;
    this.film.clear();
    const canvas = byId("review-picture");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    delete canvas.dataset.window;
    this.panel.draw();
    try {
      const object = await this.player.load(uid);
      if (uid !== this.uid || !object) return;
      this.object = object;
      if (object.has_window) await this.film.load(uid, object.bits_stored);
    } catch (error) {
      this.panel.sayError(error);
    }
    this.panel.draw();
  }

  step(by) {
    const all = this.all();
    const at = all.findIndex((one) => one.sop_instance_uid === this.uid) + by;
    if (all[at]) this.load(all[at].sop_instance_uid);
  }

  draw(state) {
    const all = this.all();
    const at = all.findIndex((one) => one.sop_instance_uid === this.uid);
    const one = all[at];
    const isDiscarded = state.discarded.some((other) => other.sop_instance_uid === this.uid);
    const isHere = one !== undefined;
    const title = titlesOf(state.devices).get(one?.device) || one?.device || "";
    setText(byId("review-title"), isHere ? text("review.title", { number: at + 1, count: all.length, kind: kindText(one.kind), device: title }) : text("review.gone"));
    show(byId("review-discarded"), isDiscarded);
    show(byId("review-discard"), isHere && !isDiscarded);
    show(byId("review-take-back"), isDiscarded);
    byId("review-before").disabled = at <= 0;
    byId("review-after").disabled = at < 0 || at >= all.length - 1;
    const isClip = (this.object?.frames || 1) > 1;
    show(byId("review-play"), isClip && !this.object.is_document);
    show(byId("review-place-box"), isClip);
    show(byId("window-reset"), Boolean(this.film.samples));
    setText(byId("review-series"), text("review.series", { name: state.exam?.series?.[one?.device] || text("review.no_series") }));
    show(byId("review-series"), isHere && !isDiscarded);
    this.drawPlaying();
  }

  drawPlaying() {
    const { object, number } = this.player;
    if (!object || object.frames < 2) return;
    const place = byId("review-place");
    place.max = String(object.frames - 1);
    if (this.player.isPlaying || document.activeElement !== place) place.value = String(number);
    if (object.is_document) {
      setText(byId("review-time"), text("review.page", { number: number + 1, count: object.frames }));
      return;
    }
    const seconds = (frames) => durationText((frames * object.frame_time_ms) / 1000);
    setText(byId("review-time"), text("review.time", { done: seconds(number + 1), total: seconds(object.frames) }));
    setText(byId("review-play"), text(this.player.isPlaying ? "review.stop" : "review.play"));
  }

  playOrStop() {
    if (this.player.isPlaying) this.player.stop();
    else this.player.play();
    this.drawPlaying();
  }

  seek(number) {
    this.player.stop();
    this.player.showFrame(number).catch(this.panel.sayError);
  }

  /** A finger on a film: to the side it is the window's width, up and down its centre. */
  drag(event) {
    const { film } = this;
    if (!film.samples) return;
    const canvas = event.currentTarget;
    const from = { x: event.clientX, y: event.clientY, center: film.center, width: film.width };
    const grays = film.most / Math.max(200, canvas.clientHeight);
    let due = null;
    const move = (now) => {
      if (due === null) requestAnimationFrame(() => {
        if (film.samples) film.set(from.center + (due.clientY - from.y) * grays, from.width + (due.clientX - from.x) * grays * 2);
        due = null;
      });
      due = now;
    };
    const end = () => {
      canvas.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) canvas.removeEventListener(name, end);
    };
    canvas.setPointerCapture(event.pointerId);
    canvas.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, end);
  }

  discard() {
    const { uid, panel } = this;
    askReason(panel.state.discardReasons, 1, (reason) =>
      panel.press(byId("review-discard"), () => post("/api/exam/discard", { exam_id: panel.state.exam.exam_id, uid, reason })),
    );
  }

  takeBack(button) {
    const { uid, panel } = this;
    panel.press(button, () => post("/api/exam/take-back", { exam_id: panel.state.exam.exam_id, uid }));
  }

  /** What the series may be called: as it is configured, as the hospital calls the examination, or typed. */
  askSeries() {
    const { panel } = this;
    const one = this.all().find((object) => object.sop_instance_uid === this.uid);
    const { exam } = panel.state;
    const field = make("input", { testid: "series-name", maxLength: 64, dir: "auto", ariaLabel: text("review.series_name"), value: exam.series?.[one.device] || "" });
    const call = (description) =>
      panel.press(byId("review-series"), async () => {
        await post("/api/exam/describe", { exam_id: exam.exam_id, device: one.device, description });
        show(byId("series"), false);
      });
    const choices = [exam.series?.[one.device], exam.procedure].filter(Boolean);
    byId("series").replaceChildren(
      make("p", { class: "question", text: text("review.series_question", { device: titlesOf(panel.state.devices).get(one.device) || one.device }) }),
      make("div", { class: "fields" }, field),
      make("div", { class: "reasons" }, ...[...new Set(choices)].map((name) => make("button", { type: "button", class: "reason", testid: "series-choice", text: name, onclick: () => call(name) }))),
      make(
        "div",
        { class: "choices" },
        make("button", { type: "button", testid: "series-cancel", text: text("discarding.cancel"), onclick: () => show(byId("series"), false) }),
        make("button", { type: "button", class: "primary", testid: "series-keep", text: text("review.series_keep"), onclick: () => call(field.value) }),
      ),
    );
    show(byId("series"), true);
    field.focus();
  }
}
