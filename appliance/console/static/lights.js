// Two lights, on every screen, that are never mixed: safe to switch off, and safe to erase at the machine.

import { byId, make, setText } from "./elements.js";
import { text } from "./texts.js";

const LIGHTS = ["switch_off", "erase"];

const AT_WORK = new Set(["recording", "receiving", "scanning"]);

/** By light why it is off (GET /api/status), and what the page has heard since: a light never lags behind a capture. */
export function lightsOf({ status, devices, captured, unassigned }) {
  const told = status?.lights;
  if (!told) return null;
  const busy = devices.filter((device) => AT_WORK.has(device.state)).map((device) => device.title);
  const capturing = busy.length ? [{ code: "capturing", devices: busy.join(text("said.comma")) }] : [];
  const heard = {
    switch_off: capturing,
    erase: [
      ...capturing,
      ...(captured.length ? [{ code: "captured", count: captured.length }] : []),
      ...(unassigned ? [{ code: "unassigned", count: unassigned }] : []),
    ],
  };
  return Object.fromEntries(
    LIGHTS.map((name) => {
      const codes = new Set(heard[name].map((reason) => reason.code));
      return [name, [...heard[name], ...told[name].filter((reason) => !codes.has(reason.code))]];
    }),
  );
}

/** Draw both; null while the box has said nothing: then neither is on. */
export function drawLights(lights) {
  for (const name of LIGHTS) {
    const isOn = lights?.[name]?.length === 0;
    const light = byId(`light-${name}`);
    light.dataset.on = String(isOn);
    setText(light.querySelector(".light-text"), text(`light.${name}_${isOn ? "on" : "off"}`));
  }
}

/** Both in sentences, with the reasons why one is off (`lightsOf`). */
export function lightElements(lights) {
  return LIGHTS.map((name) => {
    const reasons = lights?.[name] || [{ code: "unknown" }];
    const isOn = reasons.length === 0;
    return make(
      "p",
      { class: "light-said", testid: `said-${name}`, data: { on: String(isOn) } },
      make("strong", { text: text(`light.${name}_${isOn ? "yes" : "no"}`) }),
      ...reasons.map((reason) => make("span", { text: text(`light.${reason.code}`, reason) })),
    );
  });
}
