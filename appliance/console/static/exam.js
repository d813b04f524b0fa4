// The exam screen: devices, what each can do now, and the strip of what is saved.

import { byId, make, setText, show } from "./elements.js";
import { chosenIn, deviceFor, keepChosen } from "./fitting.js";
import { BoxError, post } from "./link.js";
import { Preview } from "./preview.js";
import { drawStrip, expectObject, forgetExpected, keepAnswer } from "./strip.js";
import { said, text } from "./texts.js";
import { bytesText, durationText, percentText, spanText } from "./words.js";

const IDLE = new Set(["idle", "recording"]);

/** What the buttons of a device do. `when` is the state in which it may be tapped, null for any that works. */
const ACTIONS = {
  capture: { kind: "still", text: text("exam.capture"), path: "still", class: "primary", testid: "capture" },
  record: { kind: "clip", text: text("exam.record"), path: "clip/start", testid: "record" },
  stop: { kind: "clip", text: text("exam.stop"), path: "clip/stop", class: "danger", testid: "stop" },
  last: { kind: "clip", text: text("exam.last"), path: "last", testid: "last-seconds" },
  scan: { kind: "film", text: text("exam.scan"), path: "film", class: "primary", testid: "scan" },
  cancel: { kind: "film", text: text("exam.cancel"), path: "cancel", class: "danger", testid: "cancel" },
};

export class ExamScreen {
  /** `onTap()`: draw; `onDone()` after each command: look now; `onError(BoxError)`: say it; `onOpen(uid)`: show this. */
  constructor(onTap, onDone, onError, onOpen) {
    this.onTap = onTap;
    this.onOpen = onOpen;
    this.onDone = onDone;
    this.onError = onError;
    this.selected = null;
    this.busy = new Set();
    this.examId = null;
    this.recording = new Map(); // device → moment at which its clip began, as the page's clock has it
    this.buildStage();
  }

  buildStage() {
    this.canvas = make("canvas", { testid: "preview", width: 640, height: 360 });
    this.veil = make("div", { class: "veil", testid: "preview-state", role: "status" });
    this.live = make("div", { class: "live" }, this.canvas, this.veil);
    this.word = make("p", { class: "state-word", testid: "device-state" });
    this.sentence = make("p", { class: "state-sentence", testid: "device-sentence" });
    this.bar = make("progress", { testid: "progress", max: 1, value: 0 });
    this.amount = make("p", { class: "small", testid: "progress-text" });
    this.words = make("div", { class: "words" }, this.word, this.sentence, this.bar, this.amount);
    this.trouble = make("p", { class: "device-trouble", testid: "device-trouble", role: "alert", hidden: true });
    byId("stage").replaceChildren(this.live, this.words, this.trouble);
    this.preview = new Preview(this.canvas, (state) => this.drawPreviewState(state));
  }

  /** The screen is not shown: fetch no pictures. */
  rest() {
    this.preview.select(null);
  }

  /** True when the screen says this finding beside its device already. */
  isShowing(finding) {
    return (this.device?.findings || []).some((one) => one.code === finding.code && one.sentence === finding.sentence);
  }

  draw(state) {
    if (state.exam.exam_id !== this.examId) {
      this.examId = state.exam.exam_id;
      this.recording.clear();
      this.selected = chosenIn(this.examId);
    }
    this.devices = state.devices;
    if (!state.devices.some((device) => device.device === this.selected))
      this.selected = deviceFor(state.exam, state.devices);
    for (const device of state.devices) this.keepRecordingTime(device);
    this.drawTabs();
    const device = state.devices.find((one) => one.device === this.selected);
    if (device) {
      this.drawStage(device);
      this.drawActions(device);
    }
    drawStrip(state.captured, state.discarded, this.examId, this.onOpen);
  }

  keepRecordingTime(device) {
    if (device.state !== "recording" || !device.progress) this.recording.delete(device.device);
    else this.recording.set(device.device, performance.now() - device.progress.done * 1000);
  }

  runningTime(device) {
    const begun = this.recording.get(device.device);
    return begun === undefined ? "" : durationText((performance.now() - begun) / 1000);
  }

  drawTabs() {
    const tabs = byId("device-tabs");
    const names = this.devices.map((device) => device.device).join();
    if (tabs.dataset.names !== names) {
      tabs.dataset.names = names;
      tabs.replaceChildren(
        ...this.devices.map((device) =>
          make(
            "button",
            {
              type: "button",
              role: "tab",
              testid: "device-tab",
              data: { device: device.device },
              onclick: () => {
                this.selected = device.device;
                keepChosen(this.examId, device.device);
                this.onTap();
              },
            },
            make("span", { class: "tab-title", text: device.title }),
            make("span", { class: "tab-state small" }),
          ),
        ),
      );
    }
    this.devices.forEach((device, index) => {
      const tab = tabs.children[index];
      tab.setAttribute("aria-selected", String(device.device === this.selected));
      tab.dataset.state = device.state;
      setText(tab.querySelector(".tab-state"), shortState(device, this.runningTime(device)));
    });
  }

  drawStage(device) {
    const isLive = device.kinds.includes("still");
    show(this.live, isLive);
    show(this.words, !isLive);
    this.preview.select(isLive && device.state !== "not running" ? device.device : null);
    this.device = device;
    if (isLive && device.state === "not running") this.drawPreviewState({ isStale: true, age: null, sentence: "" });
    setText(this.word, shortState(device, ""));
    setText(this.sentence, said(device.sentence));
    const progress = device.progress;
    const isCounted = Boolean(progress && progress.total);
    show(this.bar, Boolean(progress));
    if (isCounted) this.bar.value = progress.done / progress.total;
    else this.bar.removeAttribute("value");
    setText(this.amount, progress ? progressText(progress) : "");
    const troubles = (device.findings || []).map((finding) => `${said(finding.sentence)} ${said(finding.suggestion)}`.trim());
    setText(this.trouble, troubles.slice(-2).join(" "));
    show(this.trouble, troubles.length > 0);
  }

  drawPreviewState({ isStale, age, sentence }) {
    const isShown = isStale || this.device?.state === "no signal" || this.device?.state === "unplugged";
    let words = "";
    if (isShown && this.device) {
      const isSilent = !["idle", "recording"].includes(this.device.state);
      const why = said(isSilent ? this.device.sentence : sentence);
      const span = spanText(Math.max(1, age / 1000));
      words = age === null ? why || text("exam.first_picture") : text("exam.picture_age", { span, sentence: why }).trim();
    }
    setText(this.veil, words);
    show(this.veil, isShown);
  }

  drawActions(device) {
    const isRecording = device.state === "recording";
    const isScanning = device.state === "scanning" || this.busy.has(`${device.device}/film`);
    const wanted = [];
    if (device.kinds.includes("still")) wanted.push("capture");
    if (device.kinds.includes("clip")) wanted.push(isRecording ? "stop" : "record");
    if (device.kinds.includes("clip") && device.lookback_seconds && !isRecording) wanted.push("last");
    if (device.kinds.includes("film")) wanted.push(isScanning ? "cancel" : "scan");
    const box = byId("actions");
    const key = `${device.device} ${wanted.join()}`;
    if (box.dataset.key !== key) {
      box.dataset.key = key;
      box.replaceChildren(...wanted.map((name) => this.actionButton(device, name)));
      if (device.kinds.includes("transfer"))
        box.append(make("p", { class: "small hint", text: text("exam.send_hint") }));
      if (device.kinds.includes("page"))
        box.append(make("p", { class: "small hint", text: text("exam.print_hint") }));
    }
    for (const button of box.querySelectorAll("button")) {
      const action = ACTIONS[button.dataset.action];
      const isBusy = this.busy.has(`${device.device}/${action.path}`);
      button.disabled = isBusy || !(IDLE.has(device.state) || (action === ACTIONS.cancel && isScanning));
      setText(button.querySelector("span"), this.actionText(device, action));
    }
  }

  /** Running time and limit stand where the clip is ended. */
  actionText(device, action) {
    if (action === ACTIONS.last) return text("exam.last_seconds", { span: spanText(device.lookback_seconds) });
    if (action !== ACTIONS.stop) return action.text;
    const limit = device.progress?.total;
    const time = this.runningTime(device);
    return [action.text, limit && time ? text("exam.of_limit", { time, limit: durationText(limit) }) : time].filter(Boolean).join(" ");
  }

  actionButton(device, name) {
    const action = ACTIONS[name];
    return make(
      "button",
      {
        type: "button",
        class: action.class || "",
        testid: action.testid,
        data: { action: name },
        onclick: () => this.command(device.device, action),
      },
      make("span", { text: action.text }),
    );
  }

  /** One command; its answer means that it is durable, and only then the strip says *saved*. */
  async command(device, action) {
    const examId = this.examId;
    const busy = `${device}/${action.path}`;
    if (this.busy.has(busy)) return;
    this.busy.add(busy);
    const gives = ["still", "clip/stop", "last"].includes(action.path) ? expectObject(device, action.kind) : null;
    this.onTap();
    try {
      // The last seconds are a clip that ends at its beginning.
      if (action === ACTIONS.last) await post(`/api/devices/${device}/clip/start`, { exam_id: examId });
      const path = action === ACTIONS.last ? "clip/stop" : action.path;
      const answer = await post(`/api/devices/${device}/${path}`, { exam_id: examId });
      if (answer.file_name) keepAnswer(device, examId, answer);
    } catch (error) {
      if (!(error instanceof BoxError)) throw error;
      this.onError(error);
    } finally {
      if (gives) forgetExpected(gives);
      this.busy.delete(busy);
      this.onDone();
    }
  }
}

function progressText(progress) {
  if (progress.unit === "seconds") return durationText(progress.done);
  if (!progress.total) return text("exam.received", { amount: bytesText(progress.done) });
  return text("exam.progress", {
    percent: percentText(progress.done / progress.total),
    done: bytesText(progress.done),
    total: bytesText(progress.total),
  });
}

/** The state of a device in two or three words. */
function shortState(device, runningTime) {
  const progress = device.progress;
  switch (device.state) {
    case "idle":
      if (device.kinds.includes("page")) return text("state.waiting_page");
      return text(device.kinds.includes("transfer") ? "state.waiting_image" : "state.ready");
    case "recording":
      return progress ? text("state.recording", { time: runningTime }).trim() : text("state.saving_clip");
    case "receiving":
      return progress ? text("state.receiving_amount", { amount: bytesText(progress.done) }) : text("state.receiving");
    case "scanning":
      return progress?.total
        ? text("state.scanning_percent", { percent: percentText(progress.done / progress.total) })
        : text("state.scanning");
    case "no signal":
      return text("state.no_signal");
    case "unplugged":
      return text("state.unplugged");
    case "not running":
      return text("state.not_running");
    default:
      return device.state;
  }
}
