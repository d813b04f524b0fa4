// The live picture: fetched frame by frame, drawn on a canvas, never more than one request under way.

import { BoxError, getPicture, sleep } from "./link.js";

const EVERY_MS = 110;
const STALE_MS = 1000;

/** Draws one device's preview on a canvas until stopped. */
export class Preview {
  /** `onState({age, sentence})`: milliseconds since the last picture came (null: none yet), and what the box said. */
  constructor(canvas, onState) {
    this.canvas = canvas;
    this.onState = onState;
    this.device = null;
    this.lastPicture = null;
    this.sentence = "";
    this.run();
    setInterval(() => this.report(), 200);
  }

  /** Show the preview of `device`, or nothing for null. */
  select(device) {
    if (device === this.device) return;
    this.device = device;
    this.lastPicture = null;
    this.sentence = "";
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  report() {
    if (this.device === null) return;
    const age = this.lastPicture === null ? null : performance.now() - this.lastPicture;
    this.onState({ isStale: age === null || age > STALE_MS, age, sentence: this.sentence });
  }

  async run() {
    for (;;) {
      const begun = performance.now();
      if (this.device !== null && !document.hidden) await this.step(this.device);
      await sleep(Math.max(20, EVERY_MS - (performance.now() - begun)));
    }
  }

  async step(device) {
    try {
      const bitmap = await createImageBitmap(await getPicture(`/api/devices/${device}/preview`));
      if (device === this.device) this.draw(bitmap);
      bitmap.close();
    } catch (error) {
      // A picture that cannot be decoded is like none: the age on the screen tells.
      if (device === this.device) this.sentence = error instanceof BoxError ? error.sentence : "";
      await sleep(300);
    }
  }

  draw(bitmap) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.lastPicture = performance.now();
    this.sentence = "";
    this.canvas.dataset.frames = String(Number(this.canvas.dataset.frames || 0) + 1);
  }
}
