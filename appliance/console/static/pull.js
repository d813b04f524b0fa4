// Pulling a list down at its top asks for it anew.

import { show } from "./elements.js";

const FAR_PX = 80;

/** `onPull()` when `list` was pulled far enough; `hint` is shown while letting go would do it. */
export function watchPull(list, hint, onPull) {
  let begun = null;
  let isFar = false;
  const end = () => {
    begun = null;
    isFar = false;
    show(hint, false);
  };
  list.addEventListener(
    "touchstart",
    (event) => {
      begun = list.scrollTop <= 0 && event.touches.length === 1 ? event.touches[0].clientY : null;
    },
    { passive: true },
  );
  list.addEventListener(
    "touchmove",
    (event) => {
      isFar = begun !== null && list.scrollTop <= 0 && event.touches[0].clientY - begun > FAR_PX;
      show(hint, isFar);
    },
    { passive: true },
  );
  list.addEventListener("touchend", () => {
    if (isFar) onPull();
    end();
  });
  list.addEventListener("touchcancel", end);
}
