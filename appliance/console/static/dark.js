// At night the screen is dark while nobody needs it. The kiosk sees the page's title, and switches the light off too.

import { byId, show } from "./elements.js";
import { darkSeconds, night } from "./texts.js";

// No box can be called so.
const DARK = "(dark)";
const light = document.title;
let touchedAt = performance.now();

/** `now` as the box says it (ISO 8601, local); `isNeeded`: somebody is being examined. */
export function drawDark(now, isNeeded) {
  if (isNeeded) touchedAt = performance.now();
  const isDark = isNight(now) && performance.now() - touchedAt > darkSeconds * 1000;
  show(byId("dark"), isDark);
  document.title = isDark ? DARK : light;
}

function isNight(now) {
  if (!night) return false;
  const [begins, ends] = night.split("-");
  const time = now.slice(11, 16);
  return begins < ends ? begins <= time && time < ends : begins <= time || time < ends;
}

/** A touch wakes it and does nothing else; a scanner's code goes where it always goes. */
export function watchDark() {
  const wake = () => {
    touchedAt = performance.now();
    show(byId("dark"), false);
    document.title = light;
  };
  byId("dark").addEventListener("click", wake);
  document.addEventListener("keydown", wake, { capture: true });
  document.addEventListener("pointerdown", () => {
    touchedAt = performance.now();
  });
}
