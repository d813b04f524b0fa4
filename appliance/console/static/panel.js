// The panel: which screen is shown, what is asked of the box and when.
//
// For tests and support, elements bear data-testid:
//   panel (body; data-screen = starting|lock|languages|worklist|confirm|unscheduled|exam|interrupted|review|tray|wrong|
//   ending|abandoning|closing|queue), screen-NAME,
//   connection-lost, finding-line, notice, notice-close, show-queue, leave-queue, show-languages, language (data-language),
//   patient-banner (data-exam-id), name-patient,
//   lock: operator (data-operator; aria-checked), pin, pin-key (data-key), lock-emergency; lock-now on the queue screen
//   dark: over everything at night
//   presence (data-stage), presence-yes, presence-no: over every screen while it is asked
//   support-line: this is support's page
//   keyboard, key (data-key) while a field is typed in by touch
//   worklist: search, list-age, refresh, unscheduled, emergency, list-trouble, ask-hospital, worklist, list-empty,
//             worklist-row (data-key, data-patient-id, data-examined), examined-mark, similar-mark, entry-wrong,
//             filter-day, filter-modality (data-value; aria-pressed), pull,
//             found, found-trouble, listed
//   confirm:  confirm-name, confirm-birth-date, confirm-patient-id, confirm-sex, confirm-accession, confirm-procedure,
//             confirm-missing, confirm-findings, confirm-allergies, confirm-alerts, confirm-similar, confirm-no-machine, confirm-back, open-exam, add-step (data-key; aria-checked)
//   unscheduled: family-name, given-name, patient-id, birth-date, sex (data-value; aria-checked), unscheduled-back, unscheduled-next
//   exam:     stage, preview (canvas; data-frames counts pictures drawn), preview-state (the veil over a stale picture),
//             device-state, device-sentence, progress, progress-text, device-trouble,
//             device-tab (data-device, data-state), capture, record, stop, scan, cancel, end-exam,
//             strip (data-count), strip-item (data-uid, data-device, data-kind), saved, strip-saving
//             discarded (of a strip-item), last-seconds, show-tray
//   interrupted: go-on, interrupted-end, interrupted-wrong
//   tray:     choice (data-uid; aria-checked), tray-back, tray-discard, tray-assign, discard-reason (data-code), discard-cancel
//   review:   review-picture (canvas; data-shown = UID/frame, data-window), review-title, review-before, review-after, review-play,
//             review-place, review-time, review-discard, review-take-back, review-discarded, review-wrong, review-series,
//             series-name, series-choice, series-keep, series-cancel, window-reset, review-back
//   wrong:    choice, wrong-who, correction, wrong-back, wrong-next; then purpose, purpose-cancel on the screens of choosing
//   lights:   light-switch_off, light-erase (data-on); said-switch_off, said-erase on the queue's screen
//   ending:   ending-count, ending-empty, ending-at-work, ending-discarded, ending-back, wrong-patient, abandon, confirm-end,
//             reason (data-code), abandon-back, confirm-abandon
//   queue:    finding (data-code), room, destination (data-name), queue-exam (data-exam-id), exam-outcome,
//             step (data-modality, data-state), queue-object (data-uid), retry,
//             saved, stored, committed (data-yes = true|false, data-destination), refused, said, queue-empty

import { byId, make, nameElements, setText, show } from "./elements.js";
import { drawFurtherSteps, sameStepsOf } from "./confirm.js";
import { drawDark, watchDark } from "./dark.js";
import { chosenReason, drawAbandoning, drawEnding } from "./ending.js";
import { ExamScreen } from "./exam.js";
import { forgetFilter } from "./filter.js";
import { drawLanguages } from "./languages.js";
import { BoxError, get, post, repeat, watchBox } from "./link.js";
import { drawLock, typeIntoLock } from "./lock.js";
import { drawPresence } from "./presence.js";
import { watchFields } from "./keyboard.js";
import { drawLights, lightsOf } from "./lights.js";
import { drawQueue } from "./queue.js";
import { Review } from "./review.js";
import { watchPull } from "./pull.js";
import { itemsScanned, watchScanner } from "./scan.js";
import { said, text } from "./texts.js";
import { clearUnscheduled, itemTyped } from "./unscheduled.js";
import { Tray } from "./tray.js";
import { birthText, clockText, isUnknown, sexText, whoText } from "./words.js";
import { askHospital, drawConfirm, drawWorklist, forgetFound, readWorklist, saidBy } from "./worklist.js";
import { WrongPatient } from "./wrong.js";

const TOUCH_EVERY_MS = 5000;
const QUEUE_EVERY_MS = 1200;
const NOTICE_MS = 6000;

const state = {
  isStarted: false,
  lock: null,
  presence: null,
  exam: null,
  devices: [],
  captured: [],
  discarded: [],
  unassigned: 0,
  discardReasons: [],
  destinations: [],
  tellsPerformedStep: false,
  reasons: [],
  worklist: null,
  status: null,
  queue: null,
  queueTrouble: "",
  search: "",
  now: new Date().toISOString(),
};
let wanted = null; // what the person chose beside the main screen: confirm, unscheduled, ending, abandoning, tray, review, wrong
let purpose = null; // why a patient is being chosen, if not for a new exam: images are to go to that one
let isInterrupted = false; // this page found an exam that a restart of the box had interrupted, and nobody answered yet
let isLost = false; // the box does not answer
let isQueueWanted = false;
let isLanguageWanted = false;
let chosen = null; // the worklist item on the confirm screen
let addedKeys = []; // further steps of the same patient
let epoch = 0; // grows with each act that changes whose exam is open: answers that were asked before it are old
let lookedAt = 0; // answers may overtake each other; one that is older than what is shown is dropped
let isEnding = false;
const seenFindings = new Set();

const examScreen = new ExamScreen(draw, lookNow, sayError, (uid) => review.open(uid));

function screenNow() {
  if (state.lock?.is_locked) return isLanguageWanted ? "languages" : "lock";
  if (!state.isStarted) return "starting";
  if (isLanguageWanted) return "languages";
  if (isQueueWanted) return "queue";
  if (state.exam?.state === "closing") return "closing";
  if (wanted === "tray" || wanted === "wrong") return wanted;
  if (state.exam && !purpose) {
    if (isInterrupted && wanted !== "ending") return "interrupted";
    return ["ending", "abandoning", "review"].includes(wanted) ? wanted : "exam";
  }
  if (wanted === "confirm" && chosen) return "confirm";
  return wanted === "unscheduled" ? "unscheduled" : "worklist";
}

function draw() {
  const screen = screenNow();
  document.body.dataset.screen = screen;
  for (const section of document.querySelectorAll(".screen")) show(section, section.dataset.screen === screen);
  drawBar(screen);
  // Who is ending the exam has answered already.
  const isAsked = !["lock", "closing"].includes(screen) && !(isLeaving(screen) && state.presence?.stage === "ask");
  drawPresence(isAsked ? state.presence : null, state.exam, state.now);
  drawFindingLine(screen);
  if (screen === "exam") examScreen.draw(state);
  else examScreen.rest();
  if (screen === "worklist" && state.worklist) drawWorklist(state.worklist, state.search, choose);
  if (screen === "ending") drawEnding(state);
  if (screen === "tray") tray.draw(state);
  if (screen === "wrong") wrongPatient.draw(state);
  if (screen === "review") review.draw(state);
  else review.rest();
  if (screen === "interrupted") setText(byId("interrupted-who"), whoText(state.exam));
  drawPurpose(screen);
  drawLights(isLost ? null : lightsOf(state));
  if (screen === "lock") drawLock(state.lock, unlock);
  if (screen === "queue") drawQueue(state.queue, state.status, state.queueTrouble, state.devices, retryRefused, correct, lightsOf(state));
  if (screen === "closing") setText(byId("closing-text"), closingText());
}

/** For whom a patient is being chosen, if not for a new exam. */
function drawPurpose(screen) {
  show(byId("purpose"), purpose !== null && ["worklist", "confirm", "unscheduled"].includes(screen));
  setText(byId("purpose-text"), purpose ? text(`purpose.${purpose.kind}`, { who: purpose.who || "", count: purpose.count ?? purpose.uids.length }) : "");
  setText(byId("open-exam"), purpose ? text(`purpose.${purpose.kind}_here`) : text("confirm.open"));
}

/** Images of an exam that has ended go to the right patient. */
async function correct(exam) {
  try {
    await wrongPatient.openEnded(exam);
    isQueueWanted = false;
    draw();
  } catch (error) {
    if (!(error instanceof BoxError)) throw error;
    sayError(error);
  }
}

function retryRefused() {
  post("/api/queue/retry").catch(sayError);
}

function closingText() {
  const titles = new Map(state.devices.map((device) => [device.device, device.title]));
  const waiting = (state.exam.waiting_for || []).map((device) => titles.get(device) || device);
  return waiting.length ? text("ending.waiting_for", { devices: waiting.join(text("said.comma")) }) : text("ending.closing");
}

function drawBar(screen) {
  const exam = state.exam;
  show(byId("bar-patient"), exam !== null && screen !== "worklist");
  show(byId("bar-worklist"), screen === "worklist");
  const isSupport = state.lock?.role === "support";
  show(byId("unscheduled"), !isSupport);
  show(byId("emergency"), !isSupport && (!purpose || purpose.kind === "assign"));
  show(byId("name-patient"), screen === "exam" && isUnknown(exam) && !isSupport);
  show(byId("show-tray"), state.unassigned > 0 && ["worklist", "exam"].includes(screen) && !purpose);
  setText(byId("show-tray"), text("bar.tray", { count: state.unassigned }));
  show(byId("bar-title"), exam === null && screen !== "worklist");
  show(byId("show-queue"), !["starting", "queue", "languages", "lock"].includes(screen));
  show(byId("leave-queue"), screen === "queue" || screen === "languages");
  show(byId("show-languages"), screen === "queue" || screen === "lock");
  show(byId("lock-now"), screen === "queue" && Boolean(state.lock?.operator));
  show(byId("support-line"), isSupport);
  if (exam && byId("bar-patient").dataset.examId !== exam.exam_id) {
    byId("bar-patient").dataset.examId = exam.exam_id;
    for (const id of ["wrong-patient", "interrupted-wrong", "review-wrong"])
      setText(byId(id), text(isUnknown(exam) ? "wrong.unknown" : "wrong.open"));
    byId("bar-patient").replaceChildren(
      make("span", { class: "banner-name" }, ...nameElements(exam.names)),
      make(
        "span",
        { class: "banner-who" },
        make("span", { text: exam.birth_date ? birthText(exam, state.now) : text("worklist.no_birth_date") }),
        exam.sex ? make("span", { text: sexText(exam.sex) }) : "",
        make("bdi", { text: exam.patient_id ? text("who.id", { id: exam.patient_id }) : text("who.no_id") }),
        make("bdi", { class: "banner-procedure", text: exam.procedure, dir: "auto" }),
      ),
    );
  }
}

const isLeaving = (screen) => screen === "ending" || screen === "abandoning";

/** What is wrong and was not looked at yet, in one line on every screen; the queue screen shows all of it. */
function drawFindingLine(screen) {
  const all = state.status?.findings || [];
  const keyOf = (finding) => `${finding.code} ${finding.subject} ${finding.sentence}`;
  if (screen === "queue") for (const finding of all) seenFindings.add(keyOf(finding));
  // Of the unassigned images the tray's own button and the light tell.
  const isShown = (finding) => finding.code === "unassigned" || seenFindings.has(keyOf(finding)) || (screen === "exam" && examScreen.isShowing(finding));
  const fresh = all.filter((finding) => !isShown(finding));
  const line = byId("finding-line");
  show(line, fresh.length > 0 && screen !== "queue");
  const sentence = said(fresh.at(-1)?.sentence || "");
  setText(line, fresh.length > 1 ? text("bar.more_findings", { sentence, count: fresh.length - 1 }) : sentence);
  byId("show-queue").classList.toggle("attention", all.length > 0);
}

// -- what the box says

async function askExam() {
  const askedIn = epoch;
  const answer = await get("/api/exam");
  if (askedIn === epoch) takeExam(answer, answer.looked_at);
}

/** What the box says of the exam, which it looked at then. */
function takeExam(answer, at) {
  if (at < lookedAt) return;
  // The box has not heard yet that the exam is to end.
  if (isEnding && answer.exam?.state === "open") return;
  lookedAt = at;
  const before = state.exam;
  const isFirst = !state.isStarted;
  Object.assign(state, {
    isStarted: true,
    exam: answer.exam,
    presence: answer.presence,
    devices: answer.devices,
    captured: answer.captured,
    discarded: answer.discarded,
    unassigned: answer.unassigned,
    discardReasons: answer.discard_reasons,
    destinations: answer.destinations,
    tellsPerformedStep: answer.tells_performed_step,
    reasons: answer.reasons,
  });
  if (isFirst) isInterrupted = Boolean(answer.exam?.is_interrupted);
  const isOther = before?.exam_id !== answer.exam?.exam_id;
  if (isOther && (answer.exam || !["confirm", "unscheduled", "tray", "wrong"].includes(wanted))) wanted = null;
  if (isOther && before) isInterrupted = false;
  if (isOther && purpose?.kind !== "correct") purpose = null;
  draw();
  if (isFirst) askWorklist().catch(ignoreBoxError);
}

/** A list of another version is asked for; its age goes on without that. */
function takeWorklistHead(head) {
  if (head.version !== state.worklist?.version) return askWorklist().catch(ignoreBoxError);
  Object.assign(state.worklist, { sources: head.sources, now: state.now });
  return draw();
}

function takeStatus(status) {
  state.status = status;
  draw();
}

function takeLock(lock) {
  const isLocking = lock.is_locked && state.lock && !state.lock.is_locked;
  state.lock = lock;
  // The page is read again, so that nothing of a patient stays in it.
  if (isLocking) location.reload();
  else draw();
}

function takeBeat({ now }) {
  state.now = now;
  if (state.worklist && screenNow() === "worklist") draw();
}

/** What is not pushed to this page, because too many others are shown. */
async function askAll() {
  takeLock(await get("/api/lock"));
  if (state.lock.is_locked) return;
  await askExam();
  takeStatus(await get("/api/status"));
  await askWorklist();
}

function lookNow() {
  draw();
  askExam().catch(ignoreBoxError);
}

function ignoreBoxError(error) {
  if (!(error instanceof BoxError)) throw error; // the poll asks again, and the connection line tells
}

async function askWorklist() {
  if (screenNow() !== "worklist") return;
  try {
    const answer = await readWorklist(state.worklist);
    Object.assign(state, { worklist: answer, now: answer.now });
  } catch (error) {
    if (!(error instanceof BoxError) || error.isLost) throw error; // the connection line tells of a loss
    state.worklist = { now: state.now, sources: [{ source: text("worklist.source"), answered_at: "", trouble: error.sentence }], items: [] };
  }
  draw();
}

async function askQueue() {
  if (!isQueueWanted) return;
  try {
    state.queue = await get("/api/queue", 12_000);
    state.queueTrouble = "";
  } catch (error) {
    if (!(error instanceof BoxError)) throw error;
    state.queue = null; // old news about what was sent would be read as new
    state.queueTrouble = error.sentence;
  }
  draw();
}

// -- what the person does

function choose(item) {
  chosen = item;
  addedKeys = [];
  wanted = "confirm";
  drawConfirm(item, state.now, state.worklist?.items, state.devices);
  drawFurtherSteps(item.patient ? [] : sameStepsOf(item, state.worklist?.items || []), (keys) => {
    addedKeys = keys;
  });
  draw();
}

/** Do one thing at a time with a button: it is off until the answer is here. */
async function press(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BoxError)) throw error;
    sayError(error);
  } finally {
    button.disabled = false;
    lookNow();
  }
}

/** Open an exam on `whom`, or give images to that patient. */
async function openExam(whom, path = "/api/exams") {
  const why = purpose;
  const moving = { move: "/api/exam/move", name: "/api/exam/move", correct: "/api/exam/correct" }[why?.kind];
  const exam = await post(moving || path, moving ? { exam_id: why.examId, uids: why.uids, ...whom } : whom);
  if (why?.kind === "assign") await post("/api/unassigned/assign", { uids: why.uids, exam_id: exam.exam_id });
  purpose = null;
  if (why) say(text(`purpose.${why.kind}_done`));
  if (why?.kind === "correct") {
    wanted = chosen = null;
    isQueueWanted = true;
    return;
  }
  epoch += 1;
  // The next person to choose begins with the whole list.
  Object.assign(state, { exam, captured: [], discarded: [], search: "" });
  forgetFound();
  forgetFilter();
  byId("search").value = "";
  wanted = null;
  chosen = null;
}

async function endExam(outcome, reason) {
  const { exam_id } = state.exam;
  epoch += 1;
  isEnding = true;
  state.exam = { ...state.exam, state: "closing", waiting_for: [] };
  draw();
  const answer = await post("/api/exam/close", { exam_id, outcome, reason }).finally(() => {
    epoch += 1;
    isEnding = false;
  });
  state.exam = null;
  wanted = null;
  say(
    answer.instances
      ? [text("notice.ended", { count: answer.instances }), ...answer.findings.map(said)].join(" ")
      : text("notice.ended_empty"),
  );
  askWorklist().catch(ignoreBoxError);
}

// -- screens of saved images

const imagePanel = {
  state,
  say: (sentence) => say(sentence),
  sayError: (error) => {
    if (!(error instanceof BoxError)) throw error;
    sayError(error);
  },
  press,
  draw,
  isBusy: () => false,
  show(screen) {
    wanted = screen;
    draw();
  },
  leave() {
    wanted = null;
    draw();
    askWorklist().catch(ignoreBoxError);
  },
  /** Let a patient be chosen, for images and not for a new exam. */
  pick(why) {
    purpose = why;
    wanted = null;
    draw();
    askWorklist().catch(ignoreBoxError);
  },
  openWrong: () => wrongPatient.open(state.exam, state.captured),
};
const tray = new Tray(imagePanel);
const review = new Review(imagePanel);
const wrongPatient = new WrongPatient(imagePanel);

let noticeTimer = 0;

function say(sentence, suggestion = "", isBad = false) {
  const notice = byId("notice");
  notice.classList.toggle("bad", isBad);
  notice.replaceChildren(
    make("span", {}, make("strong", { text: sentence }), suggestion ? ` ${suggestion}` : ""),
    make("button", { type: "button", testid: "notice-close", text: text("notice.close"), onclick: () => show(notice, false) }),
  );
  show(notice, true);
  clearTimeout(noticeTimer);
  // What failed stays until somebody has read it.
  if (!isBad) noticeTimer = setTimeout(() => show(notice, false), NOTICE_MS);
}

function sayError(error) {
  say(said(error.sentence), said(error.suggestion), true);
}

function showConnection(isNowLost, isFull) {
  isLost = isNowLost;
  const line = byId("connection");
  if (isFull && !isLost) {
    setText(line, text("connection.full"));
  } else if (isLost) {
    setText(line, text("connection.lost", { time: clockText(`T${new Date().toTimeString().slice(0, 8)}`) }));
  } else {
    askExam().catch(ignoreBoxError);
  }
  show(line, isLost || isFull);
  document.body.classList.toggle("is-lost", isLost);
  draw();
}

function listen(id, act) {
  byId(id).addEventListener("click", act);
}

byId("search").addEventListener("input", (event) => {
  state.search = event.target.value;
  forgetFound();
  draw();
});
/** A wristband or a request's barcode, read on any screen: it opens its entry, or says why it cannot. */
async function takeScanned(scanned) {
  const { exam } = state;
  if (exam && !purpose) {
    const isHis = exam.patient_id.toLowerCase() === scanned.toLowerCase() || exam.accession_number.split(", ").includes(scanned);
    say(text(isHis ? "scan.same" : "scan.other", { scanned }), isHis ? "" : text("scan.other_advice"), !isHis);
    return;
  }
  isQueueWanted = isLanguageWanted = false;
  wanted = null;
  const listed = itemsScanned(state.worklist?.items || [], scanned);
  Object.assign(state, { search: scanned });
  byId("search").value = scanned;
  forgetFound();
  if (listed.length === 1) return choose(listed[0]);
  draw();
  if (listed.length > 1) return; // several entries of one patient, or of two: the list asks
  const answered = itemsScanned(await askHospital(scanned), scanned);
  if (answered.length === 1 && wanted === null && (!state.exam || purpose) && state.search === scanned) choose(answered[0]);
  else draw();
}

watchScanner((scanned, isInField) => {
  const screen = screenNow();
  // On the form a scan fills the field that is being filled.
  if (["starting", "closing", "lock", "languages"].includes(screen) || (isInField && screen !== "worklist")) return false;
  takeScanned(scanned).catch(sayError);
  return true;
});
// Who types anywhere searches.
document.addEventListener("keydown", (event) => {
  if (screenNow() === "lock") return typeIntoLock(event.key, unlock);
  if (screenNow() !== "worklist" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" && event.target === byId("search")) byId("ask-hospital").click();
  else if (event.key.length === 1 && event.target.tagName !== "INPUT") byId("search").focus();
});
listen("ask-hospital", (event) => press(event.currentTarget, () => askHospital(state.search)));
listen("refresh", (event) =>
  press(event.currentTarget, async () => {
    const { answers } = await post("/api/worklist/refresh");
    await askWorklist();
    const trouble = answers.find((answer) => answer.trouble);
    if (trouble) say(saidBy(trouble.source, trouble.trouble), text("worklist.last_list"), true);
  }),
);
listen("confirm-back", () => {
  wanted = chosen?.patient ? "unscheduled" : null; // what was typed is still there
  draw();
});
listen("unscheduled", () => {
  clearUnscheduled();
  wanted = "unscheduled";
  draw();
});
listen("unscheduled-back", () => {
  wanted = null;
  draw();
});
listen("unscheduled-next", () => choose(itemTyped()));
byId("unscheduled-form").addEventListener("submit", (event) => event.preventDefault());
listen("open-exam", (event) =>
  press(event.currentTarget, () =>
    openExam(chosen.patient ? { patient: chosen.patient } : { keys: [chosen.key, ...addedKeys] }),
  ),
);
for (const id of ["emergency", "lock-emergency"])
  listen(id, (event) => press(event.currentTarget, () => openExam({}, "/api/emergency")));
listen("lock-now", () => post("/api/lock-now").then(takeLock).catch(sayError));
listen("presence-yes", (event) =>
  press(event.currentTarget, async () => {
    await post("/api/touch", { is_confirmed: true });
    state.presence = null;
  }),
);
listen("presence-no", () => {
  post("/api/touch", { is_confirmed: true }).catch(sayError);
  state.presence = null;
  isQueueWanted = false;
  wanted = "ending";
  draw();
});

function unlock(operator, pin) {
  post("/api/unlock", { operator, pin }).then(takeLock).catch(sayError);
}

// The box counts from the last touch; not each of them is told.
let toldTouch = 0;
for (const kind of ["pointerdown", "keydown"])
  document.addEventListener(kind, () => {
    if (performance.now() - toldTouch < TOUCH_EVERY_MS || !state.lock || state.lock.role === "support") return;
    toldTouch = performance.now();
    post("/api/touch").catch(ignoreBoxError);
  });
listen("show-tray", () => tray.open());
listen("purpose-cancel", () => {
  purpose = chosen = null;
  wanted = null;
  draw();
});
listen("wrong-patient", () => imagePanel.openWrong());
listen("name-patient", () => imagePanel.pick({ kind: "name", examId: state.exam.exam_id, who: whoText(state.exam), uids: null, count: 0 }));
listen("go-on", (event) =>
  press(event.currentTarget, async () => {
    await post("/api/exam/go-on");
    isInterrupted = false;
  }),
);
listen("interrupted-end", () => {
  wanted = "ending";
  draw();
});
listen("interrupted-wrong", () => imagePanel.openWrong());
listen("end-exam", () => {
  wanted = "ending";
  draw();
});
for (const id of ["ending-back", "abandon-back"])
  listen(id, () => {
    wanted = null;
    draw();
  });
listen("abandon", () => {
  wanted = "abandoning";
  drawAbandoning(state, () => {
    byId("confirm-abandon").disabled = false;
  });
  draw();
});
listen("confirm-end", (event) => press(event.currentTarget, () => endExam("COMPLETED", "")));
listen("confirm-abandon", (event) => press(event.currentTarget, () => endExam("DISCONTINUED", chosenReason())));
listen("show-queue", () => {
  isQueueWanted = true;
  draw();
  askQueue().catch(ignoreBoxError);
});
listen("leave-queue", () => {
  if (isLanguageWanted) isLanguageWanted = false;
  else isQueueWanted = false;
  draw();
  askWorklist().catch(ignoreBoxError);
});
listen("show-languages", () => {
  isLanguageWanted = true;
  drawLanguages();
  draw();
});
watchPull(byId("list"), byId("pull"), () => byId("refresh").click());
listen("finding-line", () => byId("show-queue").click());

watchFields();
watchDark();
setInterval(() => drawDark(state.now, state.exam !== null), 1000);
const on = { lock: takeLock, exam: takeExam, worklist: takeWorklistHead, status: takeStatus, beat: takeBeat };
watchBox(Object.keys(on), on, showConnection, askAll);
repeat(QUEUE_EVERY_MS, askQueue);
// A running time goes on between two answers.
setInterval(() => {
  if (screenNow() === "exam") draw();
}, 250);
