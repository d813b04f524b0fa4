// The screen on which somebody chooses the panel's language; the page is read again in it.

import { byId, make } from "./elements.js";
import { post } from "./link.js";
import { language, languages } from "./texts.js";

const KEPT_SECONDS = 365 * 86_400;

export function drawLanguages() {
  byId("languages").replaceChildren(
    ...Object.entries(languages).map(([code, name]) =>
      make("button", {
        type: "button",
        class: "reason",
        testid: "language",
        lang: code,
        data: { language: code },
        ariaPressed: String(code === language),
        text: name,
        onclick: async () => {
          document.cookie = `language=${code}; path=/; max-age=${KEPT_SECONDS}; samesite=strict`;
          // The box remembers it for its own screen; support may not choose for that, and has the cookie.
          await post("/api/language", { language: code }).catch(() => {});
          location.reload();
        },
      }),
    ),
  );
}
