// A clip that is played: its frames are asked for one by one, as fast as the box and the screen go together.

import { get, getPicture } from "./link.js";

/** Plays on a canvas; never more than one frame is asked for at a time, and none is kept. */
export class ClipPlayer {
  /** `onFrame(number)` when a frame is drawn, `onError(error)` when one is not to be had. */
  constructor(canvas, onFrame, onError) {
    Object.assign(this, { canvas, onFrame, onError });
    this.uid = null;
    this.object = null;
    this.number = 0;
    this.isPlaying = false;
    this.round = 0; // of the loop that plays: one that was overtaken ends
  }

  /** Show the first frame of `uid`; answers what the object is. */
  async load(uid) {
    this.stop();
    Object.assign(this, { uid, number: 0, object: null });
    const object = await get(`/api/objects/${uid}`, 15_000);
    if (uid !== this.uid) return null;
    this.object = object;
    await this.showFrame(0);
    return object;
  }

  async showFrame(number) {
    const { uid } = this;
    const bitmap = await createImageBitmap(await getPicture(`/api/objects/${uid}/frames/${number}`, 15_000));
    if (uid === this.uid) {
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height)
        Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
      this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
      this.canvas.dataset.shown = `${uid}/${number}`;
      this.number = number;
      this.onFrame(number);
    }
    bitmap.close();
  }

  stop() {
    this.isPlaying = false;
    this.round += 1;
  }

  /** From where it stands to its end, in the clip's own time: frames for which there is no time are left out. */
  async play() {
    if (!this.object || this.object.frames < 2) return;
    const mine = (this.round += 1);
    this.isPlaying = true;
    const first = this.number + 1 < this.object.frames ? this.number : 0;
    const begun = performance.now();
    const last = this.object.frames - 1;
    const frameTime = this.object.frame_time_ms || 40;
    try {
      for (;;) {
        const due = Math.min(last, first + Math.floor((performance.now() - begun) / frameTime));
        if (due !== this.number || due === first) await this.showFrame(due);
        if (mine !== this.round) return;
        if (due === last) break;
        await new Promise((resolve) => setTimeout(resolve, Math.max(5, frameTime - ((performance.now() - begun) % frameTime))));
        if (mine !== this.round) return;
      }
    } catch (error) {
      this.onError(error);
    }
    this.stop();
    this.onFrame(this.number);
  }
}
