// The worklist: rows of who is scheduled, filtered as one types, and the screen that confirms the choice.

import { byId, make, nameElements, setText, show } from "./elements.js";
import { drawFilter, filterKey, itemsPassing } from "./filter.js";
import { get, post, sleep } from "./link.js";
import { Rows } from "./rows.js";
import { lookForSimilar, whoOf } from "./similar.js";
import { said, text } from "./texts.js";
import { ageText, agoText, birthText, dateText, foldText, sexText, shortDateText, timeText, whatText } from "./words.js";

// Older than this the list is called old, loudly.
const OLD_MS = 15 * 60 * 1000;
const AT_ONCE = 300;

let rows = null;
let choose = () => {};
let now = "";
let all = []; // the items of the list
let drawn = "";
let redraw = () => {};
let drawnSearch = "";
let found = null; // what the hospital answered: { search, answers }
const searchTexts = new WeakMap();
let similar = { items: null, of: new Map() }; // of the items that were looked through
let preparing = null; // the items that are being looked through

/** GET the list; its entries only if they are others than those of `before`. */
export async function readWorklist(before) {
  const answer = await get(`/api/worklist?version=${encodeURIComponent(before?.version || "")}`, 10_000);
  return answer.items ? answer : { ...answer, items: before.items };
}

/** Ask the hospital for one patient: a name, or what identifies an examination, typed or scanned. */
export async function askHospital(search) {
  const { answers } = await post("/api/worklist/search", { text: search });
  found = { search, answers };
  drawn = "";
  return answers.flatMap((answer) => answer.items);
}

/** Another patient's entry with a name that may be taken for this one's, also where the row was drawn from an older list. */
function similarTo(item, items) {
  if (similar.items !== items) {
    const look = lookForSimilar(items);
    let step = look.next();
    while (!step.done) step = look.next();
    similar = { items, of: step.value };
  }
  return similar.of.get(whoOf(item));
}

/** Look through a new list a little at a time: it is drawn and searched at once, however long it is. */
async function prepare(items) {
  if (preparing === items || similar.items === items) return;
  preparing = items;
  // First what a search needs: a name may be typed at once.
  for (let place = 0; place < items.length; place += AT_ONCE) {
    for (const item of items.slice(place, place + AT_ONCE)) searchTextOf(item);
    await sleep(0);
    if (preparing !== items) return;
  }
  const look = lookForSimilar(items);
  let step = look.next();
  while (!step.done) {
    await sleep(0);
    if (preparing !== items) return;
    step = look.next();
  }
  similar = { items, of: step.value };
  drawn = "";
  redraw();
}

export function forgetFound() {
  found = null;
}

function searchTextOf(item) {
  let searched = searchTexts.get(item);
  if (searched === undefined) {
    const { names, patient_id, accession_number, procedure, step, modality, birth_date } = item;
    searched = foldText([...names, patient_id, accession_number, procedure, step, modality, dateText(birth_date)].join(" "));
    searchTexts.set(item, searched);
  }
  return searched;
}

/** The items that hold every word of `search`. */
export function itemsFound(items, search) {
  const words = foldText(search).split(/\s+/).filter(Boolean);
  if (words.length === 0) return items;
  return items.filter((item) => {
    const searched = searchTextOf(item);
    return words.every((word) => searched.includes(word));
  });
}

/** Draw the list of `worklist` (see readWorklist); `chooseItem(item)` is called when a row is tapped. */
export function drawWorklist(worklist, search, chooseItem) {
  choose = chooseItem;
  now = worklist.now;
  drawAge(worklist);
  drawAsk(search);
  drawFilter(worklist.items, now, search.trim() === "", () => drawWorklist(worklist, search, chooseItem));
  const key = [worklist.version, search, filterKey(), worklist.now.slice(0, 10)].join("\n");
  if (key === drawn) return;
  const isOther = drawnSearch !== `${search} ${filterKey()}` || drawn === "";
  drawn = key;
  drawnSearch = `${search} ${filterKey()}`;
  all = worklist.items;
  redraw = () => drawWorklist(worklist, search, chooseItem);
  prepare(all);
  rows ||= new Rows(byId("list"), build);
  rows.draw(entriesOf(worklist, search), isOther);
}

function drawAsk(search) {
  const asked = search.trim();
  show(byId("ask-hospital"), asked !== "");
  setText(byId("ask-hospital"), text("worklist.ask", { search: asked }));
}

/** What the list shows, from its top: items, sentences as { said }. */
function entriesOf(worklist, search) {
  // Who searches may mean another day's patient: its row says which day.
  const listed = search.trim() ? itemsFound(worklist.items, search) : itemsPassing(worklist.items, worklist.now);
  if (!found) return listed.length ? listed : [{ said: emptyText(worklist, search), testid: "list-empty" }];
  const items = found.answers.flatMap((answer) => answer.items);
  const keys = new Set(items.map((item) => item.key));
  const others = listed.filter((item) => !keys.has(item.key));
  const troubles = found.answers.flatMap((answer) => [
    ...(answer.trouble ? [saidBy(answer.source, answer.trouble)] : []),
    ...(answer.is_cut_off ? [text("worklist.found_more", { source: answer.source })] : []),
  ]);
  const sentence = text("worklist.found", { count: items.length, search: found.search });
  return [
    { said: sentence, testid: "found", trouble: troubles.join(" ") },
    ...items,
    ...(others.length ? [{ said: text("worklist.listed"), testid: "listed" }, ...others] : []),
  ];
}

function build(entry) {
  if (!entry.said) return row(entry);
  return make(
    "p",
    { class: "said-row", testid: entry.testid },
    make("span", { text: entry.said }),
    entry.trouble ? make("span", { class: "warn small", testid: "found-trouble", text: entry.trouble }) : null,
  );
}

function emptyText(worklist, search) {
  if (search.trim()) return text("worklist.no_match");
  if (worklist.sources.length === 0) return text("worklist.unconfigured");
  if (!worklist.sources.some((source) => source.answered_at)) return text("worklist.not_arrived");
  return text(worklist.items.length ? "worklist.nobody_here" : "worklist.nobody");
}

function drawAge(worklist) {
  const troubles = [];
  let isOld = false;
  const ages = worklist.sources.map((source) => {
    if (source.trouble) troubles.push(saidBy(source.source, source.trouble));
    if (source.is_cut_off) troubles.push(text("worklist.cut_off", { source: source.source }));
    isOld ||= !source.answered_at || Date.parse(worklist.now) - Date.parse(source.answered_at) > OLD_MS;
    return source.answered_at
      ? text("worklist.old", { span: agoText(source.answered_at, worklist.now) })
      : text("worklist.not_here");
  });
  const isBad = isOld || troubles.length > 0;
  setText(byId("list-age"), text("worklist.age", { ages: ages.join(text("said.comma")) || text("worklist.no_source") }));
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
      isToday || !item.scheduled_date ? null : make("span", { class: "small", text: shortDateText(item.scheduled_date) }),
      make("span", { text: timeText(item.scheduled_time) }),
      make("span", { class: "modality", text: item.modality }),
    ),
    make(
      "span",
      { class: "entry-name" },
      ...nameElements(item.names),
      item.examined ? make("span", { class: "mark", testid: "examined-mark", text: text("worklist.examined") }) : null,
      similar.items === all && similar.of.has(whoOf(item))
        ? make("span", { class: "mark alike", testid: "similar-mark", text: text("worklist.similar") })
        : null,
    ),
    make(
      "span",
      { class: "entry-who" },
      item.birth_date
        ? make("span", { text: dateText(item.birth_date) })
        : make("span", { class: "missing", text: text("worklist.no_birth_date") }),
      make("span", { class: "small", text: [ageText(item.birth_date, now), sexText(item.sex)].filter(Boolean).join(text("said.comma")) }),
    ),
    make(
      "span",
      { class: "entry-id" },
      item.patient_id
        ? make("bdi", { class: "breaks", text: item.patient_id })
        : make("span", { class: "missing", text: text("who.no_id") }),
      make("bdi", { class: "small breaks", text: item.accession_number ? text("who.accession", { number: item.accession_number }) : "" }),
    ),
    make(
      "span",
      { class: "entry-what" },
      make("bdi", { class: "entry-procedure", text: whatText(item), dir: "auto" }),
      wrongText(item) ? make("span", { class: "small missing entry-wrong", testid: "entry-wrong", text: wrongText(item) }) : null,
    ),
  );
}

/** What a part of the hospital said. */
export function saidBy(source, sentence) {
  return text("worklist.said_by", { source, sentence: said(sentence) });
}

/** What the standard calls a value, as people of the language call it. */
const lackingText = (name) => text(`lacking.${name.toLowerCase().replace(/\W+/g, "_")}`);

/** What an entry lacks, and what of it cannot be used as it is. */
function wrongText(item) {
  return [...item.missing.map((name) => text("worklist.lacks", { name: lackingText(name) })), ...(item.findings || []).map(said)].join("; ");
}

/** True when name or ID are so long that in large type they would push each other off a small screen. */
const isLong = (item) => item.names.join(" ").length > 48 || item.patient_id.length > 24;

/** Draw the confirm screen: three identifiers, large. */
export function drawConfirm(item, at, items, devices) {
  const other = similarTo(item, items || []);
  byId("confirm-card").replaceChildren(
    make("p", { class: "question", text: text("confirm.question") }),
    make("p", { class: isLong(item) ? "huge long" : "huge", testid: "confirm-name" }, ...nameElements(item.names)),
    make(
      "div",
      { class: "identifiers" },
      identifier(text("confirm.born"), birthText(item, at), "confirm-birth-date", !item.birth_date),
      identifier(text("confirm.id"), item.patient_id || text(item.patient ? "unscheduled.id_hint" : "who.not_given"), "confirm-patient-id", !item.patient_id, isLong(item) ? "long" : ""),
      identifier(text("confirm.sex"), ["M", "F", "O"].includes(item.sex) ? sexText(item.sex) : text("sex.missing"), "confirm-sex", false, "minor"),
      identifier(text("confirm.accession"), item.accession_number || text("confirm.none"), "confirm-accession", false, "minor"),
    ),
    make(
      "p",
      { class: "large", testid: "confirm-procedure" },
      make("span", { class: "modality", text: item.modality }),
      " ",
      make("bdi", { text: whatText(item), dir: "auto" }),
    ),
    medicalElement(item),
    other
      ? make("p", {
          class: "warn",
          testid: "confirm-similar",
          text: text("confirm.similar", { who: [...other.names, birthText(other, at), other.patient_id].join(text("said.comma")) }),
        })
      : "",
    item.modality && !devices.some((device) => device.modality === item.modality)
      ? make("p", { class: "warn", testid: "confirm-no-machine", text: text("confirm.no_machine", { modality: item.modality }) })
      : "",
    item.examined
      ? make("p", {
          class: "warn",
          testid: "confirm-append",
          text: text("confirm.append"),
        })
      : "",
    item.missing.length
      ? make("p", {
          class: "warn",
          testid: "confirm-missing",
          text: text("confirm.missing", { count: item.missing.length, names: item.missing.map(lackingText).join(text("said.comma")) }),
        })
      : "",
    item.findings?.length ? make("p", { class: "warn", testid: "confirm-findings", text: `${item.findings.map(said).join(". ")}.` }) : "",
  );
}

/** What may harm the patient, as far as the worklist says; side by side, so that nothing is pushed off a small screen. */
function medicalElement({ allergies, alerts }) {
  const parts = [
    allergies ? make("p", { class: "medical", testid: "confirm-allergies", text: text("confirm.allergies", { words: allergies }) }) : "",
    alerts ? make("p", { class: "medical", testid: "confirm-alerts", text: text("confirm.alerts", { words: alerts }) }) : "",
  ].filter(Boolean);
  return parts.length ? make("div", { class: "medicals" }, ...parts) : "";
}

function identifier(label, text, testid, isMissing, importance = "") {
  return make(
    "div",
    { class: `identifier ${importance}` },
    make("span", { class: "small", text: label }),
    make("bdi", { class: isMissing ? "value missing" : "value", testid, text }),
  );
}
