// What became of it: each object saved, stored and committed, each performed step, and what is wrong.
// The three yeses are three columns and are never drawn as one.

import { byId, make, nameElements, replaceKeepingPlace } from "./elements.js";
import { bytesText, clockText, countText, kindText } from "./words.js";

const MOST_EXAMS = 30;
const MOST_OBJECTS = 100; // of one exam
const STORED = new Set(["stored", "commit_requested", "committed", "expired"]);
const COMMITTED = new Set(["committed", "expired"]);
// At a destination that is configured as one without commitment: nothing more is to come from there.
const NEVER_COMMITTED = { stored_only: "", verified: " and found there" };

let drawn = "";

/** Draw `queue` (GET /api/queue or null), `status` (GET /api/status or null) and the sentence of what failed.
 *  `retry` is called when a person wants what was refused tried again. */
export function drawQueue(queue, status, trouble, devices, retry) {
  const key = JSON.stringify([queue, status, trouble]);
  if (key === drawn) return;
  drawn = key;
  const titles = new Map(devices.map((device) => [device.device, device.title]));
  const parts = [findings(status, trouble, retry)];
  if (queue?.open) parts.push(openExam(queue.open, titles));
  if (queue) parts.push(...endedExams(queue, titles));
  if (queue && !queue.open && queue.objects.length === 0)
    parts.push(make("p", { class: "middle", testid: "queue-empty", text: "Nothing is waiting." }));
  replaceKeepingPlace(byId("queue"), parts);
}

function findings(status, trouble, retry) {
  const list = make("div", { class: "findings" });
  if (trouble) list.append(finding({ code: "queue", sentence: trouble, suggestion: "" }));
  for (const one of status?.findings || []) list.append(finding(one));
  if (status?.room) list.append(make("p", { class: "destination", testid: "room", text: status.room.sentence }));
  for (const destination of status?.destinations || [])
    list.append(
      make(
        "p",
        { class: "destination", testid: "destination", data: { name: destination.name } },
        make("strong", { text: destination.name }),
        ` ${destinationText(destination)}`,
        destination.refused ? make("span", { class: "bad", text: ` · ${destination.refused} refused ` }) : "",
        destination.refused && destination.is_configured !== false ? retryButton(retry) : "",
        destination.trouble ? make("span", { class: "warn", text: ` ${troubleText(destination)}` }) : "",
      ),
    );
  return list;
}

function troubleText(destination) {
  if (destination.is_configured === false) return destination.trouble;
  const seconds = Math.round(destination.seconds_to_next_attempt || 0);
  return `${destination.trouble} It is tried again ${seconds ? `in ${seconds} s` : "now"}.`;
}

/** Whether a destination commits that was removed is not known any more: what it never did is not counted. */
const REMOVED_COUNTS = [
  ["stored", "stored, not committed"],
  ["stored_only", "stored"],
  ["verified", "stored and found there"],
  ["committed", "committed"],
  ["released", "released"],
];

function destinationText(destination) {
  const since = destination.pending ? sinceText(destination.pending_since) : "";
  const waiting = `${destination.pending} waiting${since}`;
  if (destination.is_configured === false) {
    const counted = REMOVED_COUNTS.filter(([key]) => destination[key]);
    return [waiting, ...counted.map(([key, words]) => `${destination[key]} ${words}`)].join(" · ");
  }
  if (destination.commits !== false)
    return `${waiting} · ${destination.stored} stored, not committed yet · ${destination.committed} committed`;
  const stored = destination.stored + destination.stored_only + destination.verified;
  return `${waiting} · ${stored} stored; this archive does not commit`;
}

/** With the date, since it may be days: a destination that is not configured any more waits for a person. */
function sinceText(iso) {
  return iso ? ` since ${iso.slice(0, 10)} ${clockText(iso)}` : "";
}

/** Tries again what was refused; the next drawing shows what came of it. */
function retryButton(retry) {
  return make("button", { testid: "retry", text: "Try again", onclick: retry });
}

function finding(one) {
  return make(
    "p",
    { class: "finding", testid: "finding", data: { code: one.code } },
    make("strong", { text: one.sentence }),
    one.suggestion ? ` ${one.suggestion}` : "",
  );
}

function openExam(open, titles) {
  return examElement(
    open.exam,
    open.exam.state === "open" ? "open" : "being ended",
    [],
    open.captured.map((object) => objectRow(object, titles, [])),
    open.captured.length ? "It is sent when the exam is ended." : "Nothing is captured yet.",
  );
}

function endedExams(queue, titles) {
  const byExam = new Map();
  const entryOf = (examId) => {
    if (!byExam.has(examId)) byExam.set(examId, { objects: [], steps: [] });
    return byExam.get(examId);
  };
  for (const object of queue.objects) entryOf(object.exam_id).objects.push(object);
  for (const step of queue.steps) entryOf(step.exam_id).steps.push(step);
  if (queue.open) byExam.delete(queue.open.exam.exam_id);
  // An exam's identifier begins with the moment of its opening.
  const latest = [...byExam.keys()].sort().reverse();
  const elements = latest.slice(0, MOST_EXAMS).map((examId) => {
    const { objects, steps } = byExam.get(examId);
    const exam = queue.exams[examId] || { exam_id: examId, names: [], patient_id: objects[0]?.patient_id || "" };
    const names = [...new Set(objects.flatMap((object) => Object.keys(object.destinations)))];
    const rows = objects.slice(0, MOST_OBJECTS).map((object) => objectRow(object, titles, names));
    const rest = objects.length - rows.length;
    const said = [...(exam.findings || []), rest > 0 ? `and ${countText(rest, "more object", "more objects")}` : ""];
    return examElement(exam, (exam.outcome || "").toLowerCase(), steps, rows, said.filter(Boolean).join(" "));
  });
  if (latest.length > MOST_EXAMS)
    elements.push(make("p", { class: "middle", text: `${countText(latest.length - MOST_EXAMS, "older exam", "older exams")}` }));
  return elements;
}

function examElement(exam, outcome, steps, rows, said) {
  return make(
    "article",
    { class: "queue-exam", testid: "queue-exam", data: { examId: exam.exam_id } },
    make(
      "header",
      {},
      make("span", { class: "queue-name" }, ...nameElements(exam.names)),
      make("bdi", { class: "muted", text: exam.patient_id }),
      make("span", { class: "muted", text: openedText(exam.opened_at) }),
      outcome ? make("span", { class: "outcome", testid: "exam-outcome", text: outcome }) : "",
      ...steps.map(stepElement),
    ),
    said ? make("p", { class: "small", text: said }) : "",
    ...rows,
  );
}

/** Empty where the exam's record is damaged: what became of its objects is shown all the same. */
function openedText(iso) {
  return iso ? `${iso.slice(0, 10)} ${clockText(iso).slice(0, 5)}` : "";
}

function stepElement(step) {
  const said = wordsOf(step);
  return make("span", {
    class: said ? "step warn" : "step",
    testid: "step",
    data: { modality: step.modality, state: step.state },
    text: `Step ${step.modality}: ${step.state === "due" ? "to be told" : step.state}${said ? ` (${said})` : ""}`,
  });
}

function objectRow(object, titles, destinations) {
  const details = [kindOf(object), titles.get(object.device) || object.device, bytesText(object.bytes)];
  return make(
    "div",
    { class: "queue-object", testid: "queue-object", data: { uid: object.sop_instance_uid } },
    make("span", { class: "what", text: details.join(", ") }),
    object.expired_at ? expired(object.expired_at) : yes("saved", true, object.saved_at),
    ...(destinations.length
      ? destinations.flatMap((name) => destinationCells(name, object.destinations[name], destinations.length > 1))
      : [yes("stored", false), yes("committed", false)]),
  );
}

function kindOf(object) {
  if (object.kind) return kindText(object.kind);
  return object.frames > 1 ? `Clip of ${object.frames} frames` : "Image";
}

function destinationCells(name, ledger, isNamed) {
  if (!ledger) return [];
  const suffix = isNamed ? ` in ${name}` : "";
  const found = NEVER_COMMITTED[ledger.state];
  const cells =
    found !== undefined
      ? [neverCommitted(`stored${suffix}${found}; this archive does not commit`, ledger.stored_at, name, ledger.state)]
      : [
          yes(`stored${suffix}`, STORED.has(ledger.state), ledger.stored_at, name),
          yes(`committed${suffix}`, COMMITTED.has(ledger.state), ledger.committed_at, name),
        ];
  const isBad = ledger.state === "refused";
  const said = wordsOf(ledger);
  if (isBad || said)
    cells.push(
      make("span", {
        class: isBad ? "said bad" : "said warn",
        testid: isBad ? "refused" : "said",
        text: `${isBad ? "Refused. " : ""}${said}`,
      }),
    );
  return cells;
}

/** What was said of it, and what keeps its destination or manager from being tried; once, if it is the same. */
function wordsOf(told) {
  const trouble = told.trouble || "";
  const said = told.said || "";
  return trouble.includes(said.replace(/\.$/, "")) ? trouble : [said, trouble].filter(Boolean).join(" · ");
}

/** The second yes where there is no third: it must not look like one that is still to come, nor like one that has. */
function neverCommitted(words, at, destination, state) {
  return make(
    "span",
    { class: "yes stored is-so", testid: "never-committed", data: { destination, state } },
    make("span", { text: `✓ ${words}` }),
    make("span", { class: "small", text: clockText(at) }),
  );
}

/** In the place of the first yes: it was saved, and is here no longer. */
function expired(at) {
  return make(
    "span",
    { class: "yes saved not-yet", testid: "saved", data: { yes: "false", destination: "" } },
    make("span", { text: "expired" }),
    make("span", { class: "small", text: clockText(at) }),
  );
}

/** One of the three yeses: said or not yet, in words and not by colour alone. */
function yes(word, isSo, at = "", destination = "") {
  const name = word.split(" ")[0];
  return make(
    "span",
    { class: `yes ${name} ${isSo ? "is-so" : "not-yet"}`, testid: name, data: { yes: String(isSo), destination } },
    make("span", { text: isSo ? `✓ ${word}` : `not ${word}` }),
    make("span", { class: "small", text: isSo ? clockText(at) : "" }),
  );
}
