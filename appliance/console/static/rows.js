// A long list of rows of one height, of which only those near the screen exist: ten thousand scroll as ten do.

// As .row in panel.css says.
const ROW_PX = 76;
const BEYOND = 30;

export class Rows {
  /** `list` scrolls; `build(entry)` makes an entry's element. */
  constructor(list, build) {
    this.list = list;
    this.build = build;
    this.entries = [];
    this.made = new Map(); // index → element, of those that exist
    this.canvas = null;
    this.list.addEventListener("scroll", () => this.#fill(), { passive: true });
    new ResizeObserver(() => this.#fill()).observe(list);
  }

  /** Show `entries` and stay where the list was scrolled to, or with `isOther` at its top. */
  draw(entries, isOther) {
    const place = isOther ? 0 : this.list.scrollTop;
    this.entries = entries;
    this.made.clear();
    this.canvas = document.createElement("div");
    this.canvas.className = "rows";
    this.canvas.style.height = `${entries.length * ROW_PX}px`;
    this.list.replaceChildren(this.canvas);
    this.list.scrollTop = place;
    this.#fill();
  }

  #fill() {
    if (!this.canvas) return;
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(this.entries.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW_PX) + BEYOND);
    for (const [index, element] of this.made) {
      if (index >= first && index < last) continue;
      element.remove();
      this.made.delete(index);
    }
    const fresh = [];
    for (let index = first; index < last; index += 1) {
      if (this.made.has(index)) continue;
      const element = this.build(this.entries[index]);
      element.classList.add("row");
      element.style.top = `${index * ROW_PX}px`;
      this.made.set(index, element);
      fresh.push([index, element]);
    }
    // In the order of the list, since the tab key and a screen reader go by it.
    for (const [index, element] of fresh.reverse()) this.canvas.insertBefore(element, this.made.get(index + 1) || null);
  }
}
