// Window and level of an image with more grays than a screen: its grays come once, thinned to the panel's size.

import { getSamples } from "./link.js";

// What is darker or brighter than nearly everything else says nothing of the picture.
const DARKEST = 0.01;
const BRIGHTEST = 0.99;

/** Draws the grays that lie inside the window. */
export class FilmWindow {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
  }

  clear() {
    Object.assign(this, { samples: null, columns: 0, rows: 0, most: 0, center: 0, width: 1 });
  }

  async load(uid, bitsStored) {
    this.clear();
    const { columns, rows, samples } = await getSamples(`/api/objects/${uid}/grays`);
    Object.assign(this, { samples, columns, rows, most: 2 ** bitsStored - 1 });
    this.canvas.width = columns;
    this.canvas.height = rows;
    this.reset();
  }

  /** As much as nearly all of the picture needs. */
  reset() {
    const counts = new Uint32Array(65_536);
    for (const sample of this.samples) counts[sample] += 1;
    const at = (part) => {
      let left = part * this.samples.length;
      return counts.findIndex((count) => (left -= count) < 0);
    };
    const [low, high] = [at(DARKEST), at(BRIGHTEST)];
    this.set((low + high) / 2, Math.max(1, high - low));
  }

  set(center, width) {
    this.center = Math.min(this.most, Math.max(0, Math.round(center)));
    this.width = Math.min(2 * this.most, Math.max(1, Math.round(width)));
    this.draw();
  }

  draw() {
    const low = this.center - this.width / 2;
    const shades = new Uint8ClampedArray(65_536);
    for (let gray = 0; gray < shades.length; gray += 1) shades[gray] = ((gray - low) * 255) / this.width;
    const image = new ImageData(this.columns, this.rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let index = 0; index < pixels.length; index += 1) {
      const shade = shades[this.samples[index]];
      pixels[index] = 0xff000000 | (shade << 16) | (shade << 8) | shade;
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.canvas.dataset.window = `${this.center}/${this.width}`;
  }
}
