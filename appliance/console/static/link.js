// Asking the box. One form of an error, and one place that knows whether the box is there at all.

import { text } from "./texts.js";

const ALIVE_TIMEOUT_MS = 1200;
// Three beats of the box did not come. With the look every 100 ms a loss stands on the screen within two seconds, also
// where the engine draws a few frames late.
const LOST_AFTER_MS = 1500;
const JUDGE_EVERY_MS = 100;
const FULL_EVERY_MS = 1000;

/** What the box refused, in its own sentence; `isLost` when no answer came at all. */
export class BoxError extends Error {
  constructor(sentence, suggestion = "", isLost = false) {
    super(sentence);
    this.sentence = sentence;
    this.suggestion = suggestion;
    this.isLost = isLost;
  }
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new BoxError(text("connection.no_answer"), text("connection.look_first"), true);
  }
  return response;
}

async function errorFrom(response) {
  let said = {};
  try {
    said = (await response.json()).error || {};
  } catch {
    // no JSON: the sentence below says all that is known
  }
  return new BoxError(said.sentence || text("connection.refused", { status: response.status }), said.suggestion || "");
}

async function jsonFrom(response) {
  if (!response.ok) throw await errorFrom(response);
  try {
    return await response.json();
  } catch {
    throw new BoxError(text("connection.cut_off"), text("connection.asks_again"), true);
  }
}

/** GET `path` → the JSON object. BoxError otherwise. */
export async function get(path, timeoutMs = 4000) {
  return jsonFrom(await request(path, { signal: AbortSignal.timeout(timeoutMs) }));
}

/** POST `body` → the JSON object; waits as long as the box works on it. BoxError otherwise. */
export async function post(path, body = {}) {
  return jsonFrom(
    await request(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Appliance-Panel": "1" },
      body: JSON.stringify(body),
    }),
  );
}

/** GET a picture → Blob. BoxError with the box's sentence when there is none. */
export async function getPicture(path, timeoutMs = 2000) {
  const response = await request(path, { signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok) throw await errorFrom(response);
  return response.blob();
}

/** GET 16-bit samples → { columns, rows, samples }. BoxError otherwise. */
export async function getSamples(path) {
  const response = await request(path, { signal: AbortSignal.timeout(15_000) });
  if (!response.ok) throw await errorFrom(response);
  const [columns, rows] = ["X-Columns", "X-Rows"].map((name) => Number(response.headers.get(name)));
  return { columns, rows, samples: new Uint16Array(await response.arrayBuffer()) };
}

/** Do `work` again and again, never twice at once, `everyMs` between two beginnings. */
export async function repeat(everyMs, work) {
  for (;;) {
    const begun = performance.now();
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BoxError)) console.error(error);
    }
    await sleep(Math.max(50, everyMs - (performance.now() - begun)));
  }
}

/** Take what the box pushes: `on[topic](value, lookedAt)`, and `onChange(isLost, isFull)` as the connection comes and goes.
 *
 *  The box beats twice a second: a loss is told within two seconds, and the stream comes back by itself. Where the box
 *  has no stream left for this page, `askAll()` asks every second instead.
 */
export function watchBox(topics, on, onChange, askAll) {
  let lastBeat = performance.now();
  let said = "";
  let isFull = false;
  let source = null;
  const beat = () => {
    lastBeat = performance.now();
    judge();
  };
  const judge = () => {
    const isLost = performance.now() - lastBeat > LOST_AFTER_MS;
    const now = `${isLost} ${isFull}`;
    if (now === said) return;
    said = now;
    onChange(isLost, isFull);
  };
  const listen = () => {
    source = new EventSource("/api/events");
    for (const topic of topics)
      source.addEventListener(topic, (event) => {
        isFull = false;
        beat();
        on[topic](JSON.parse(event.data), Number(event.lastEventId));
      });
  };
  listen();
  setInterval(judge, JUDGE_EVERY_MS);
  repeat(FULL_EVERY_MS, async () => {
    if (source.readyState !== EventSource.CLOSED) return;
    // Refused or broken off for good: find out which, and try again.
    await get("/api/alive", ALIVE_TIMEOUT_MS);
    beat();
    isFull = true;
    await askAll();
    beat();
    listen();
  });
}
