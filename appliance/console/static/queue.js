// What became of it: each object saved, stored and committed, each performed step, and what is wrong.
// The three yeses are three columns and are never drawn as one.

import { byId, make, nameElements, setChildren } from "./elements.js";
import { lightElements } from "./lights.js";
import { said, text } from "./texts.js";
import { bytesText, clockText, isUnknown, kindText, momentText, spanText, titlesOf } from "./words.js";

const MOST_EXAMS = 30;
const MOST_OBJECTS = 100; // of one exam
const NOTE = "KO"; // the modality of a note that rejects images
const STORED = new Set(["stored", "commit_requested", "committed", "expired"]);
const COMMITTED = new Set(["committed", "expired"]);
// At a destination that is configured as one without commitment: nothing more is to come from there.
const NEVER_COMMITTED = new Set(["stored_only", "verified"]);

// What is drawn, and of what: a finger does not wait for what is as it was.
const drawn = { head: "", headElements: [], queue: null, titles: "", exams: [] };
let drawnExams = new Map(); // exam → { key, element }

/** Draw `queue` (GET /api/queue or null), `status` (GET /api/status or null) and the sentence of what failed.
 *  `retry` is called when a person wants what was refused tried again,
 *  `correct(exam)` when it was the wrong patient; `lights` as lightsOf gives them. */
export function drawQueue(queue, status, trouble, devices, retry, correct, lights) {
  const head = JSON.stringify([status, trouble, lights]);
  const titles = titlesOf(devices);
  const named = JSON.stringify([...titles]);
  const isHeadOld = head !== drawn.head;
  const areExamsOld = queue !== drawn.queue || named !== drawn.titles;
  if (!isHeadOld && !areExamsOld) return;
  if (isHeadOld)
    drawn.headElements = [make("div", { class: "lights" }, ...lightElements(lights)), findings(status, trouble, retry)];
  if (areExamsOld) drawn.exams = queue ? examElements(queue, titles, named, correct) : [];
  Object.assign(drawn, { head, queue, titles: named });
  setChildren(byId("queue"), [...drawn.headElements, ...drawn.exams]);
}

function examElements(queue, titles, named, correct) {
  const before = drawnExams;
  drawnExams = new Map();
  /** The element of before, where nothing is otherwise. */
  const keep = (examId, told, build) => {
    const key = JSON.stringify([told, named]);
    const element = before.get(examId)?.key === key ? before.get(examId).element : build();
    drawnExams.set(examId, { key, element });
    return element;
  };
  const elements = queue.open ? [keep("", queue.open, () => openExam(queue.open, titles))] : [];
  elements.push(...endedExams(queue, titles, correct, keep));
  if (!queue.open && queue.objects.length === 0)
    elements.push(make("p", { class: "middle", testid: "queue-empty", text: text("queue.nothing") }));
  return elements;
}

function findings(status, trouble, retry) {
  const list = make("div", { class: "findings" });
  if (trouble) list.append(finding({ code: "queue", sentence: trouble, suggestion: "" }));
  for (const one of status?.findings || []) list.append(finding(one));
  if (status?.room) list.append(make("p", { class: "destination", testid: "room", text: said(status.room.sentence) }));
  for (const destination of status?.destinations || [])
    list.append(
      make(
        "p",
        { class: "destination", testid: "destination", data: { name: destination.name } },
        make("bdi", {}, make("strong", { text: destination.name })),
        ` ${destinationText(destination)}`,
        destination.refused ? make("span", { class: "bad", text: ` · ${text("queue.refused", { count: destination.refused })} ` }) : "",
        destination.refused && destination.is_configured !== false ? retryButton(retry) : "",
        destination.trouble ? make("span", { class: "warn", text: ` ${troubleText(destination)}` }) : "",
      ),
    );
  return list;
}

function troubleText(destination) {
  const sentence = said(destination.trouble);
  if (destination.is_configured === false) return sentence;
  const seconds = Math.round(destination.seconds_to_next_attempt || 0);
  return seconds ? text("queue.tried_in", { sentence, span: spanText(seconds) }) : text("queue.tried_now", { sentence });
}

/** Whether a destination commits that was removed is not known any more: what it never did is not counted. */
const REMOVED_COUNTS = [
  ["stored", "queue.not_committed"],
  ["stored_only", "queue.stored_only"],
  ["verified", "queue.verified"],
  ["committed", "queue.committed"],
  ["released", "queue.released"],
];

function destinationText(destination) {
  // With the date, since it may be days: a destination that is not configured any more waits for a person.
  const moment = destination.pending ? momentText(destination.pending_since) : "";
  const waiting = text(moment ? "queue.waiting_since" : "queue.waiting", { count: destination.pending, moment });
  if (destination.is_configured === false) {
    const counted = REMOVED_COUNTS.filter(([name]) => destination[name]);
    return [waiting, ...counted.map(([name, key]) => text(key, { count: destination[name] }))].join(" · ");
  }
  if (destination.commits !== false)
    return [
      waiting,
      text("queue.not_committed_yet", { count: destination.stored }),
      text("queue.committed", { count: destination.committed }),
    ].join(" · ");
  const stored = destination.stored + destination.stored_only + destination.verified;
  return `${waiting} · ${text("queue.no_commitment", { count: stored })}`;
}

/** Tries again what was refused; the next drawing shows what came of it. */
function retryButton(retry) {
  return make("button", { testid: "retry", text: text("queue.retry"), onclick: retry });
}

function finding(one) {
  return make(
    "p",
    { class: "finding", testid: "finding", data: { code: one.code } },
    make("strong", { text: said(one.sentence) }),
    one.suggestion ? ` ${said(one.suggestion)}` : "",
  );
}

function openExam(open, titles) {
  return examElement(
    open.exam,
    text(open.exam.state === "open" ? "queue.open" : "queue.being_ended"),
    [],
    open.captured.map((object) => objectRow(object, titles, [])),
    text(open.captured.length ? "queue.sent_at_end" : "strip.empty"),
  );
}

function endedExams(queue, titles, correct, keep) {
  const byExam = new Map();
  const entryOf = (examId) => {
    if (!byExam.has(examId)) byExam.set(examId, { objects: [], steps: [] });
    return byExam.get(examId);
  };
  for (const object of queue.objects) entryOf(object.exam_id).objects.push(object);
  for (const step of queue.steps) entryOf(step.exam_id).steps.push(step);
  if (queue.open) byExam.delete(queue.open.exam.exam_id);
  // An exam's identifier begins with its number.
  const latest = [...byExam.keys()].sort().reverse();
  const elements = latest.slice(0, MOST_EXAMS).map((examId) => {
    const { objects, steps } = byExam.get(examId);
    const exam = queue.exams[examId] || { exam_id: examId, names: [], patient_id: objects[0]?.patient_id || "" };
    return keep(examId, [exam, objects, steps], () => endedExam(exam, objects, steps, titles, correct));
  });
  if (latest.length > MOST_EXAMS)
    elements.push(make("p", { class: "middle", text: text("queue.older_exams", { count: latest.length - MOST_EXAMS }) }));
  return elements;
}

function endedExam(exam, objects, steps, titles, correct) {
  const names = [...new Set(objects.flatMap((object) => Object.keys(object.destinations)))];
  const rows = objects.slice(0, MOST_OBJECTS).map((object) => objectRow(object, titles, names));
  const rest = objects.length - rows.length;
  const remarks = [...(exam.findings || []).map(said), rest > 0 ? text("queue.more_objects", { count: rest }) : ""];
  const isCorrectable = exam.outcome && objects.some((object) => !object.expired_at && object.modality !== NOTE);
  return examElement(exam, outcomeText(exam.outcome), steps, rows, remarks.filter(Boolean).join(" "), isCorrectable && correct);
}

const outcomeText = (outcome) => (outcome ? text(`queue.${outcome.toLowerCase()}`) : "");

function examElement(exam, outcome, steps, rows, remark, correct = null) {
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
      correct
        ? make("button", { type: "button", class: "correct", testid: "correct", text: text(isUnknown(exam) ? "wrong.unknown" : "wrong.open"), onclick: () => correct(exam) })
        : "",
    ),
    remark ? make("p", { class: "small", text: remark }) : "",
    ...rows,
  );
}

/** Empty where the exam's record is damaged: what became of its objects is shown all the same. */
function openedText(iso) {
  return momentText(iso);
}

function stepElement(step) {
  const sentence = wordsOf(step);
  const state = text(`step.${step.state.replace(" ", "_")}`);
  return make("span", {
    class: sentence ? "step warn" : "step",
    testid: "step",
    data: { modality: step.modality, state: step.state },
    text: text(sentence ? "queue.step_said" : "queue.step", { modality: step.modality, state, sentence }),
  });
}

function objectRow(object, titles, destinations) {
  const what = { kind: kindOf(object), device: titles.get(object.device) || object.device, amount: bytesText(object.bytes) };
  return make(
    "div",
    { class: "queue-object", testid: "queue-object", data: { uid: object.sop_instance_uid } },
    make("span", { class: "what", text: text("queue.what", what) }),
    object.expired_at ? expired(object.expired_at) : yes("saved", true, object.saved_at),
    ...(destinations.length
      ? destinations.flatMap((name) => destinationCells(name, object.destinations[name], destinations.length > 1))
      : [yes("stored", false), yes("committed", false)]),
  );
}

const kindOf = ({ kind, frames }) => (kind === "clip" && frames > 1 ? text("queue.clip_of", { count: frames }) : kindText(kind));

function destinationCells(name, ledger, isNamed) {
  if (!ledger) return [];
  const cells = NEVER_COMMITTED.has(ledger.state)
    ? [neverCommitted(ledger, name, isNamed)]
    : [
        yes("stored", STORED.has(ledger.state), ledger.stored_at, name, isNamed),
        yes("committed", COMMITTED.has(ledger.state), ledger.committed_at, name, isNamed),
      ];
  const isBad = ledger.state === "refused";
  const sentence = wordsOf(ledger);
  if (isBad || sentence)
    cells.push(
      make("span", {
        class: isBad ? "said bad" : "said warn",
        testid: isBad ? "refused" : "said",
        text: isBad ? refusedText(sentence) : sentence,
      }),
    );
  return cells;
}

const refusedText = (sentence) => (sentence ? text("queue.refused_said", { sentence }) : text("step.refused"));

/** What was said of it, and what keeps its destination or manager from being tried; once, if it is the same. */
function wordsOf(told) {
  const trouble = told.trouble || "";
  const answer = told.said || "";
  const isSame = trouble.includes(answer.replace(/\.$/, ""));
  return (isSame ? [trouble] : [answer, trouble]).filter(Boolean).map(said).join(" · ");
}

/** The second yes where there is no third: it must not look like one that is still to come, nor like one that has. */
function neverCommitted({ state, stored_at }, destination, isNamed) {
  return make(
    "span",
    { class: "yes stored is-so", testid: "never-committed", data: { destination, state } },
    make("span", { text: text(isNamed ? `yes.${state}_in` : `yes.${state}`, { name: destination }) }),
    make("span", { class: "small", text: clockText(stored_at) }),
  );
}

/** In the place of the first yes: it was saved, and is here no longer. */
function expired(at) {
  return make(
    "span",
    { class: "yes saved not-yet", testid: "saved", data: { yes: "false", destination: "" } },
    make("span", { text: text("yes.expired") }),
    make("span", { class: "small", text: clockText(at) }),
  );
}

/** One of the three yeses: said or not yet, in words and not by colour alone. */
function yes(name, isSo, at = "", destination = "", isNamed = false) {
  const key = isSo ? name : `not_${name}`;
  return make(
    "span",
    { class: `yes ${name} ${isSo ? "is-so" : "not-yet"}`, testid: name, data: { yes: String(isSo), destination } },
    make("span", { text: text(isNamed ? `yes.${key}_in` : `yes.${key}`, { name: destination }) }),
    make("span", { class: "small", text: isSo ? clockText(at) : "" }),
  );
}
