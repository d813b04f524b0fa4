// The worklist: rows of who is scheduled, filtered as one types, and the screen that confirms the choice.

import { byId, make, nameElements, setText, show } from "./elements.js";
import { get, post } from "./link.js";
import { Rows } from "./rows.js";
import { agoText, ageText, countText, dateText, foldText, sexText, timeText, whatText } from "./words.js";

// Older than this the list is called old, loudly.
const OLD_MS = 15 * 60 * 1000;

let rows = null;
let choose = () => {};
let now = "";
let drawn = "";
let drawnSearch = "";
let found = null; // what the hospital answered: { text, answers }
const searchTexts = new WeakMap();

/** GET the list; its entries only if they are others than those of `before`. */
export async function readWorklist(before) {
  const answer = await get(`/api/worklist?version=${encodeURIComponent(before?.version || "")}`, 10_000);
  return answer.items ? answer : { ...answer, items: before.items };
}

/** Ask the hospital for one patient: a name, or what identifies an examination, typed or scanned. */
export async function askHospital(text) {
  const { answers } = await post("/api/worklist/search", { text });
  found = { text, answers };
  drawn = "";
}

export function forgetFound() {
  found = null;
}

function searchTextOf(item) {
  let text = searchTexts.get(item);
  if (text === undefined) {
    text = foldText(
      [...item.names, item.patient_id, item.accession_number, item.procedure, item.step, item.modality, dateText(item.birth_date)].join(" "),
    );
    searchTexts.set(item, text);
  }
  return text;
}

/** The items that hold every word of `search`. */
export function itemsFound(items, search) {
  const words = foldText(search).split(/\s+/).filter(Boolean);
  if (words.length === 0) return items;
  return items.filter((item) => {
    const text = searchTextOf(item);
    return words.every((word) => text.includes(word));
  });
}

/** Draw the list of `worklist` (see readWorklist); `chooseItem(item)` is called when a row is tapped. */
export function drawWorklist(worklist, search, chooseItem) {
  choose = chooseItem;
  now = worklist.now;
  drawAge(worklist);
  drawAsk(search);
  const key = [worklist.version, search, worklist.now.slice(0, 10)].join("\n");
  if (key === drawn) return;
  const isOther = search !== drawnSearch || drawn === "";
  drawn = key;
  drawnSearch = search;
  rows ||= new Rows(byId("list"), build);
  rows.draw(entriesOf(worklist, search), isOther);
}

function drawAsk(search) {
  const text = search.trim();
  show(byId("ask-hospital"), text !== "");
  setText(byId("ask-text"), text);
}

/** What the list shows, from its top: items, sentences as { said }. */
function entriesOf(worklist, search) {
  const listed = itemsFound(worklist.items, search);
  if (!found) return listed.length ? listed : [{ said: emptyText(worklist, search), testid: "list-empty" }];
  const items = found.answers.flatMap((answer) => answer.items);
  const keys = new Set(items.map((item) => item.key));
  const others = listed.filter((item) => !keys.has(item.key));
  const troubles = found.answers.flatMap((answer) => [
    ...(answer.trouble ? [`${answer.source}: ${answer.trouble}`] : []),
    ...(answer.is_cut_off ? [`${answer.source} has more than are shown here: type more.`] : []),
  ]);
  const said = `The hospital has ${countText(items.length, "entry", "entries")} for “${found.text}”.`;
  return [
    { said, testid: "found", trouble: troubles.join(" ") },
    ...items,
    ...(others.length ? [{ said: "On the list:", testid: "listed" }, ...others] : []),
  ];
}

function build(entry) {
  if (!entry.said) return row(entry);
  return make(
    "p",
    { class: "said-row", testid: entry.testid },
    make("bdi", { text: entry.said }),
    entry.trouble ? make("span", { class: "warn small", testid: "found-trouble", text: entry.trouble }) : null,
  );
}

function emptyText(worklist, search) {
  if (search.trim()) return "Nobody on the list matches.";
  if (worklist.sources.length === 0) return "No worklist source is configured.";
  return worklist.sources.some((source) => source.answered_at) ? "Nobody is scheduled." : "The worklist has not arrived yet.";
}

function drawAge(worklist) {
  const troubles = [];
  let isOld = false;
  const ages = worklist.sources.map((source) => {
    if (source.trouble) troubles.push(`${source.source}: ${source.trouble}`);
    if (source.is_cut_off) troubles.push(`${source.source}: the list was too long and is cut off.`);
    isOld ||= !source.answered_at || Date.parse(worklist.now) - Date.parse(source.answered_at) > OLD_MS;
    return source.answered_at ? `${agoText(source.answered_at, worklist.now)} old` : "not here yet";
  });
  const isBad = isOld || troubles.length > 0;
  setText(byId("list-age"), `List ${ages.join(", ") || "without a source"}`);
  byId("list-age").classList.toggle("warn", isBad);
  setText(byId("list-trouble"), troubles.join(" "));
  show(byId("list-trouble"), troubles.length > 0);
}

function row(item) {
  const isToday = item.scheduled_date === now.slice(0, 10).replaceAll("-", "");
  return make(
    "button",
    {
      type: "button",
      class: item.examined ? "entry examined" : "entry",
      testid: "worklist-row",
      data: { key: item.key, patientId: item.patient_id, examined: String(item.examined) },
      onclick: () => choose(item),
    },
    make(
      "span",
      { class: "entry-time" },
      isToday || !item.scheduled_date ? null : make("span", { class: "small", text: dateText(item.scheduled_date).slice(5) }),
      make("span", { text: timeText(item.scheduled_time) }),
      make("span", { class: "modality", text: item.modality }),
    ),
    make(
      "span",
      { class: "entry-name" },
      ...nameElements(item.names),
      item.examined ? make("span", { class: "mark", testid: "examined-mark", text: "examined already" }) : null,
    ),
    make(
      "span",
      { class: "entry-who" },
      item.birth_date
        ? make("span", { text: dateText(item.birth_date) })
        : make("span", { class: "missing", text: "birth date not given" }),
      make("span", { class: "small", text: [ageText(item.birth_date, now), sexText(item.sex)].filter(Boolean).join(", ") }),
    ),
    make(
      "span",
      { class: "entry-id" },
      item.patient_id
        ? make("bdi", { class: "breaks", text: item.patient_id })
        : make("span", { class: "missing", text: "no ID" }),
      make("bdi", { class: "small breaks", text: item.accession_number ? `Acc. ${item.accession_number}` : "" }),
    ),
    make(
      "span",
      { class: "entry-what" },
      make("bdi", { class: "entry-procedure", text: whatText(item), dir: "auto" }),
      wrongText(item) ? make("span", { class: "small missing entry-wrong", testid: "entry-wrong", text: wrongText(item) }) : null,
    ),
  );
}

/** What an entry lacks, and what of it cannot be used as it is. */
function wrongText(item) {
  return [...item.missing.map((name) => `lacks ${name}`), ...(item.findings || [])].join("; ");
}

/** True when name or ID are so long that in large type they would push each other off a small screen. */
const isLong = (item) => item.names.join(" ").length > 48 || item.patient_id.length > 24;

/** Draw the confirm screen: three identifiers, large. */
export function drawConfirm(item, at) {
  byId("confirm-card").replaceChildren(
    make("p", { class: "question", text: "Is this the patient in front of you?" }),
    make("p", { class: isLong(item) ? "huge long" : "huge", testid: "confirm-name" }, ...nameElements(item.names)),
    make(
      "div",
      { class: "identifiers" },
      identifier("Born", birthText(item, at), "confirm-birth-date", !item.birth_date),
      identifier("Patient ID", item.patient_id || "not given", "confirm-patient-id", !item.patient_id, isLong(item) ? "long" : ""),
      identifier("Sex", sexText(item.sex).replace("sex ", ""), "confirm-sex", false, "minor"),
      identifier("Accession", item.accession_number || "none", "confirm-accession", false, "minor"),
    ),
    make(
      "p",
      { class: "large", testid: "confirm-procedure" },
      make("span", { class: "modality", text: item.modality }),
      " ",
      make("bdi", { text: whatText(item), dir: "auto" }),
    ),
    item.examined
      ? make("p", {
          class: "warn",
          testid: "confirm-append",
          text: "Already examined: this will be added to the same study.",
        })
      : "",
    item.missing.length
      ? make("p", {
          class: "warn",
          testid: "confirm-missing",
          text: `The entry lacks ${countText(item.missing.length, "value", "values")}: ${item.missing.join(", ")}.`,
        })
      : "",
    item.findings?.length ? make("p", { class: "warn", testid: "confirm-findings", text: `${item.findings.join(". ")}.` }) : "",
  );
}

export function birthText(who, at) {
  if (!who.birth_date) return "not given";
  const age = ageText(who.birth_date, at);
  return age ? `${dateText(who.birth_date)} (${age})` : dateText(who.birth_date);
}

function identifier(label, text, testid, isMissing, importance = "") {
  return make(
    "div",
    { class: `identifier ${importance}` },
    make("span", { class: "small", text: label }),
    make("bdi", { class: isMissing ? "value missing" : "value", testid, text }),
  );
}
