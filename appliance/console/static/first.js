// The page of a box that nobody has configured yet: what lies on a stick, or what is typed here, and how it goes.
//
// For tests and support, elements bear data-testid:
//   panel (body; data-screen = starting|languages|choice|stick|form|look|change|ready), show-languages, leave-languages, language,
//   choice: stick-state (data-state), look-at-stick, set-up-here
//   stick:  stick-code, stick-back, refuse-stick, take-stick
//   form:   first-FIELD, wrong-FIELD, chosen (data-name, data-value; aria-checked), form-back, form-next
//   look:   row (data-row), look-back, put-in-force
//   change: change-state (data-state), change-left, peer (data-peer, data-verdict), peer-said, change-why, take-back, keep, change-back
//   ready:  to-panel

import { byId, make, setChildren, setText, show } from "./elements.js";
import { clearWrong, drawForm, showWrong, typed, watchForm } from "./first_form.js";
import { drawRows } from "./first_summary.js";
import { watchFields } from "./keyboard.js";
import { drawLanguages } from "./languages.js";
import { BoxError, get, post, repeat } from "./link.js";
import { said, text } from "./texts.js";
import { clockText, spanText } from "./words.js";

const ASK_EVERY_MS = 1000;
// While services start anew nobody answers for a while: that is told on the change's own screen.
const LOST_AFTER = 3;
const ROLES = { worklist: "section_worklist", destination: "section_archive", "performed-step": "row_performed_step" };

let state = null; // what the box said last: is_new, change, stick
let wanted = "choice"; // choice, stick, form or look
let summary = null; // of what was typed, once nothing of it is wrong
let isLanguageWanted = false;
let looked = 0; // the number of the last change whose end somebody has seen
let missed = 0; // answers that did not come, in a row
let answeredAt = new Date(); // when the last one came
let isKept = false;
let comparedCode = "";

const isUnderWay = (change) => Boolean(change) && !["confirmed", "rolled_back"].includes(change.state);

function screenNow() {
  if (isLanguageWanted) return "languages";
  if (!state) return "starting";
  if (isKept || !state.is_new || state.change?.state === "confirmed") return "ready";
  if (state.change && (isUnderWay(state.change) || state.change.number > looked)) return "change";
  return wanted;
}

function draw() {
  const screen = screenNow();
  document.body.dataset.screen = screen;
  for (const section of document.querySelectorAll(".screen")) show(section, section.dataset.screen === screen);
  show(byId("show-languages"), screen === "choice");
  show(byId("leave-languages"), screen === "languages");
  const isLost = missed >= LOST_AFTER && !isUnderWay(state?.change);
  show(byId("connection"), isLost);
  if (isLost) setText(byId("connection"), text("connection.lost", { time: clockText(`T${answeredAt.toTimeString().slice(0, 8)}`) }));
  if (screen === "choice") drawChoice(state.stick);
  if (screen === "stick") drawStick(state.stick);
  if (screen === "look") drawRows(byId("look-summary"), summary);
  if (screen === "change") drawChange(state.change);
}

function drawChoice(stick) {
  const line = byId("stick-state");
  line.dataset.state = stick.state;
  line.classList.toggle("warn", !["none", "offered", "signed"].includes(stick.state));
  setText(line, text(`first.stick_${stick.state}`));
  byId("stick-problems").replaceChildren(...stick.problems.map(problemElement));
  show(byId("look-at-stick"), stick.state === "offered");
}

/** What is wrong with the file, and for whoever wrote it the words that `appliance config check` has for it. */
function problemElement({ kind, key, line, words }) {
  if (kind === "said") return make("li", { text: said(words) });
  const problem = text(`first.problem_${kind}`, { key });
  return make(
    "li",
    {},
    make("span", { text: line ? text("first.problem_line", { line, problem }) : problem }),
    make("bdi", { class: "small muted", lang: "en", dir: "ltr", text: words }),
  );
}

function drawStick(stick) {
  setText(byId("stick-code"), comparedCode);
  drawRows(byId("stick-summary"), stick.summary);
}

function drawChange(change) {
  const line = byId("change-state");
  line.dataset.state = change.state;
  setText(line, missed ? text("first.silent") : text(`first.state_${change.state}`));
  const isWaiting = change.state === "waiting";
  show(byId("change-left"), isWaiting);
  setText(byId("change-left"), isWaiting ? text("first.left", { span: spanText(change.seconds_left) }) : "");
  const peers = ["proposed", "loading"].includes(change.state) ? [] : change.peers;
  setChildren(byId("change-peers"), peers.map(peerElement));
  // What of a peer failed stands with the peer.
  const isTold = peers.some((peer) => peer.checks && !peer.is_good);
  setText(byId("change-why"), change.state === "rolled_back" && !isTold ? said(change.why) : "");
  show(byId("take-back"), ["loading", "testing", "waiting"].includes(change.state));
  show(byId("keep"), isWaiting);
  show(byId("change-back"), change.state === "rolled_back");
}

function peerElement(peer) {
  const verdict = peer.checks ? (peer.is_good ? "good" : "failed") : "trying";
  const roles = (peer.roles || []).map((role) => text(`first.${ROLES[role]}`));
  const failed = (peer.checks || []).filter((check) => check.verdict === "failed");
  return make(
    "div",
    { class: "finding first-peer", testid: "peer", data: { peer: peer.name, verdict } },
    make("p", {}, make("strong", { text: roles.join(text("said.comma")) || peer.name }), " ", make("span", { class: "muted", text: said(peer.peer || "") })),
    make("p", { class: verdict === "failed" ? "bad" : "", text: text(`first.peer_${verdict}`) }),
    ...failed.map((check) =>
      make("p", { class: "small", testid: "peer-said" }, make("span", { text: said(check.words) }), check.suggestion ? make("strong", { text: ` ${said(check.suggestion)}` }) : null),
    ),
    verdict === "failed" ? make("p", { class: "small", text: text("first.peer_advice") }) : null,
  );
}

// -- what the box says

async function askState() {
  try {
    state = await get("/api/first", 5000);
    if (state.change) state.change.state = state.change.state.replace(" ", "_");
    missed = 0;
    answeredAt = new Date();
    // Another file than the one that somebody compares, or none: nothing changes beneath a finger.
    if (wanted === "stick" && (state.stick?.state !== "offered" || state.stick.code !== comparedCode)) wanted = "choice";
  } catch (error) {
    if (!(error instanceof BoxError)) throw error;
    missed += 1;
  }
  draw();
}

// -- what the person does

/** One thing at a time with a button; what is wrong stays on the screen until somebody has read it. */
async function press(button, work) {
  button.disabled = true;
  show(byId("notice"), false);
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BoxError)) throw error;
    sayError(error);
  } finally {
    button.disabled = false;
    await askState();
  }
}

function sayError({ sentence, suggestion }) {
  const notice = byId("notice");
  notice.classList.add("bad");
  notice.replaceChildren(
    make("span", {}, make("strong", { text: said(sentence) }), suggestion ? ` ${said(suggestion)}` : ""),
    make("button", { type: "button", testid: "notice-close", text: text("notice.close"), onclick: () => show(notice, false) }),
  );
  show(notice, true);
}

function listen(id, act) {
  byId(id).addEventListener("click", act);
}

function turnTo(screen) {
  wanted = screen;
  draw();
}

listen("show-languages", () => {
  isLanguageWanted = true;
  drawLanguages();
  draw();
});
listen("leave-languages", () => {
  isLanguageWanted = false;
  draw();
});
listen("look-at-stick", () => {
  comparedCode = state.stick.code;
  turnTo("stick");
});
listen("set-up-here", () => turnTo("form"));
for (const id of ["stick-back", "form-back"]) listen(id, () => turnTo("choice"));
listen("look-back", () => turnTo("form"));
listen("refuse-stick", (event) =>
  press(event.currentTarget, async () => {
    await post("/api/first/refuse-stick", { code: comparedCode });
    wanted = "choice";
  }),
);
listen("take-stick", (event) =>
  press(event.currentTarget, async () => {
    await post("/api/first/take-stick", { code: comparedCode });
    wanted = "choice";
  }),
);
listen("form-next", (event) =>
  press(event.currentTarget, async () => {
    const answer = await post("/api/first/check", typed());
    if (showWrong(answer.problems)) return;
    ({ summary } = answer);
    wanted = "look";
  }),
);
listen("put-in-force", (event) =>
  press(event.currentTarget, async () => {
    await post("/api/first/set-up", typed());
    wanted = "form";
  }),
);
listen("keep", (event) =>
  press(event.currentTarget, async () => {
    const change = await post("/api/first/confirm");
    isKept = change.state === "confirmed";
  }),
);
listen("take-back", (event) => press(event.currentTarget, () => post("/api/first/take-back")));
listen("change-back", () => {
  looked = state.change.number;
  draw();
});

clearWrong();
drawForm();
watchForm((error) => sayError(error));
watchFields();
repeat(ASK_EVERY_MS, askState);
