// A long list of rows of one height, of which only those near the screen exist: ten thousand scroll as ten do.

// As .row in panel.css says.
const ROW_PX = 76;
// Rows beyond the screen: at once few, since a finger waits; the others when it has its answer, a few at a time, since
// the next letter may be typed meanwhile.
const NEAR = 4;
const BEYOND = 30;
const AT_ONCE = 6;
const REST_MS = 80;

export class Rows {
  /** `list` scrolls; `build(entry)` makes an entry's element. */
  constructor(list, build) {
    this.list = list;
    this.build = build;
    this.entries = [];
    this.made = new Map(); // index → element, of those that exist
    this.canvas = null;
    this.later = 0;
    this.list.addEventListener("scroll", () => this.#fillSoon(), { passive: true });
    new ResizeObserver(() => this.#fillSoon()).observe(list);
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
    this.#fillSoon();
  }

  #fillSoon() {
    this.#fill(NEAR, Infinity);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.#fillRest(), REST_MS);
  }

  #fillRest() {
    if (this.#fill(BEYOND, AT_ONCE) === AT_ONCE) this.later = setTimeout(() => this.#fillRest(), 0);
  }

  /** Make at most `most` of the rows that are wanted; gives how many were made. */
  #fill(beyond, most) {
    if (!this.canvas) return 0;
    const [top, bottom] = [this.list.scrollTop, this.list.scrollTop + this.list.clientHeight];
    const first = Math.max(0, Math.floor(top / ROW_PX) - beyond);
    const last = Math.min(this.entries.length, Math.ceil(bottom / ROW_PX) + beyond);
    for (const [index, element] of this.made) {
      if (index >= first - BEYOND && index < last + BEYOND) continue;
      element.remove();
      this.made.delete(index);
    }
    const fresh = [];
    for (let index = first; index < last && fresh.length < most; index += 1) {
      if (this.made.has(index)) continue;
      const element = this.build(this.entries[index]);
      element.classList.add("row");
      element.style.top = `${index * ROW_PX}px`;
      this.made.set(index, element);
      fresh.push([index, element]);
    }
    // In the order of the list, since the tab key and a screen reader go by it.
    for (const [index, element] of fresh.reverse()) this.canvas.insertBefore(element, this.#madeBehind(index));
    return fresh.length;
  }

  /** The next element behind row `index`, or null. */
  #madeBehind(index) {
    for (let next = index + 1; next <= index + 2 * BEYOND; next += 1) if (this.made.has(next)) return this.made.get(next);
    return null;
  }
}
