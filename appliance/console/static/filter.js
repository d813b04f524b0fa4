// What part of the worklist is shown: a day, today's unless somebody chose another, and a modality or all.

import { byId, make, show } from "./elements.js";
import { text } from "./texts.js";
import { shortDateText } from "./words.js";

const chosen = { day: "today", modality: "" };
const choices = new WeakMap(); // a list → its days and modalities: it is looked through once, not at each letter
let drawn = "";

/** A day of the calendar; what else a source may have written there is none. */
const dayOf = (item) => (/^\d{8}$/.test(item.scheduled_date) ? item.scheduled_date : "");
const todayOf = (now) => now.slice(0, 10).replaceAll("-", "");

/** The next person begins with today and everything. */
export function forgetFilter() {
  Object.assign(chosen, { day: "today", modality: "" });
}

export const filterKey = () => `${chosen.day} ${chosen.modality}`;

/** The items that pass; one without a date is everybody's. */
export function itemsPassing(items, now) {
  const day = chosen.day === "today" ? todayOf(now) : chosen.day;
  return items.filter(
    (item) =>
      (!day || !dayOf(item) || dayOf(item) === day) &&
      (!chosen.modality || item.modality === chosen.modality),
  );
}

function choicesOf(items) {
  if (!choices.has(items)) {
    const days = [...new Set(items.map(dayOf))].filter(Boolean);
    choices.set(items, { days, modalities: [...new Set(items.map((item) => item.modality))].filter(Boolean).sort() });
  }
  return choices.get(items);
}

/** Draw what can be chosen, where there is a choice; `onChange()` when it was made. */
export function drawFilter(items, now, isShown, onChange) {
  const today = todayOf(now);
  const { modalities, ...found } = choicesOf(items);
  const days = [...new Set([today, ...found.days])].sort();
  if (!days.includes(chosen.day)) chosen.day = chosen.day === "" ? "" : "today";
  if (!modalities.includes(chosen.modality)) chosen.modality = "";
  const key = [days, modalities, today, filterKey()].join("\n");
  const box = byId("filter");
  show(box, isShown && (days.length > 1 || modalities.length > 1));
  if (key === drawn) return;
  drawn = key;
  const choice = (name, value, words) =>
    make("button", {
      type: "button",
      class: "chip",
      testid: `filter-${name}`,
      data: { value },
      ariaPressed: String((chosen[name] === "today" && value === today ? value : chosen[name]) === value),
      text: words,
      onclick: () => {
        chosen[name] = name === "day" && value === today ? "today" : value;
        onChange();
      },
    });
  const dayChoices = days.map((day) => choice("day", day, day === today ? text("filter.today") : shortDateText(day)));
  const modalityChoices = modalities.map((modality) => choice("modality", modality, modality));
  box.replaceChildren(
    ...(days.length > 1 ? [...dayChoices, choice("day", "", text("filter.all_days"))] : []),
    ...(modalities.length > 1 ? [choice("modality", "", text("filter.all_modalities")), ...modalityChoices] : []),
  );
}
