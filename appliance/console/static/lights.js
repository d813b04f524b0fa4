// Two lights, on every screen, that are never mixed: safe to switch off, and safe to erase at the machine.

import { byId, make, setText } from "./elements.js";
import { text } from "./texts.js";

const LIGHTS = ["switch_off", "erase"];

/** Draw both; `lights` is the box's word (GET /api/status), null while it has said nothing: then neither is on. */
export function drawLights(lights) {
  for (const name of LIGHTS) {
    const isOn = lights?.[name]?.length === 0;
    const light = byId(`light-${name}`);
    light.dataset.on = String(isOn);
    setText(light.querySelector(".light-text"), text(`light.${name}_${isOn ? "on" : "off"}`));
  }
}

/** Both in sentences, with the reasons why one is off. */
export function lightElements(lights) {
  return LIGHTS.map((name) => {
    const reasons = lights?.[name] || [{ code: "unknown" }];
    const isOn = reasons.length === 0;
    return make(
      "p",
      { class: "light-said", testid: `said-${name}`, data: { on: String(isOn) } },
      make("strong", { text: text(`light.${name}_${isOn ? "yes" : "no"}`) }),
      ...reasons.map((reason) => make("span", { text: ` ${text(`light.${reason.code}`, reason)}` })),
    );
  });
}
