// The two drawings of the last ten minutes, made of SVG by hand: latency as lines, requests as stacked bars.

import { el, say, svg } from "./dom.js";
import { count, duration, minuteOf } from "./format.js";

const SPAN_S = 600;
const STEP_S = 5;
const HEIGHT = 260;
const EDGE = { left: 78, right: 16, top: 14, bottom: 34 };
const GRID = 4;

/** Draw p50 and p95 of the steps into `figure`. */
export function drawLatency(figure, steps, nowS) {
  const answered = steps.filter((step) => step.p50_ms !== null);
  const frame = newFrame(figure, nowS, Math.max(0, ...answered.map((step) => step.p95_ms)), duration);
  frame.add(line(frame, answered, "p95_ms"), line(frame, answered, "p50_ms"));
  const last = answered.at(-1);
  finish(figure, frame, "Latency of answered requests, simulated and unscaled", last
    ? `Latest: p50 ${duration(last.p50_ms)}, p95 ${duration(last.p95_ms)}` : "No request was answered in this time",
  [["p50", "p50 (half are faster), solid"], ["p95", "p95 (19 of 20 are faster), dashed"]]);
}

/** Draw how many requests of each step ended in which way into `figure`. */
export function drawRate(figure, steps, nowS) {
  const highest = Math.max(0, ...steps.map((step) => step.answered + step.throttled + step.failed));
  const frame = newFrame(figure, nowS, highest, count);
  for (const step of steps) frame.add(...bars(frame, step));
  const sums = ["answered", "throttled", "failed"].map((kind) => steps.reduce((sum, step) => sum + step[kind], 0));
  finish(figure, frame, `Requests in each ${STEP_S} seconds`,
    `In 10 minutes: ${count(sums[0])} answered, ${count(sums[1])} throttled, ${count(sums[2])} failed`,
    [["answered", "answered"], ["throttled", "throttled (429), striped"], ["failed", "failed, outlined"]]);
}

/** Axes with their units; `x` and `y` say where a value lies. */
function newFrame(figure, nowS, highest, write) {
  const width = Math.max(300, Math.floor(figure.clientWidth) || 600);
  const top = nice(highest);
  const x = (seconds) => EDGE.left + ((seconds - nowS + SPAN_S) / SPAN_S) * (width - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" });
  for (let index = 0; index <= GRID; index++) {
    const value = (top * index) / GRID;
    root.append(
      svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
      svg("text", { class: "axis", x: EDGE.left - 8, y: y(value) + 5, "text-anchor": "end" }, write(value)));
  }
  const ticks = width < 500 ? [600, 300, 0] : [600, 480, 360, 240, 120, 0];
  for (const ago of ticks) root.append(tick(x(nowS - ago), ago, nowS));
  return { root, x, y, add: (...shapes) => root.append(...shapes) };
}

function tick(x, ago, nowS) {
  const anchor = ago === 0 ? "end" : ago === SPAN_S ? "start" : "middle";
  return svg("text", { class: "axis", x, y: HEIGHT - 10, "text-anchor": anchor }, ago ? minuteOf(nowS - ago) : "now");
}

function line(frame, steps, kind) {
  let path = "";
  let before = -Infinity;
  for (const step of steps) {
    // A gap of more than half a minute is a gap: no line is drawn over time in which nothing was measured.
    const joined = step.start_s - before <= 30;
    path += `${joined ? "L" : "M"}${frame.x(step.start_s + STEP_S / 2).toFixed(1)} ${frame.y(step[kind]).toFixed(1)}`;
    if (!joined) path += "h0.01"; // so that a lone point shows, as a dot of the line's width
    before = step.start_s;
  }
  return svg("path", { class: `line ${kind.slice(0, 3)}`, d: path || "M0 0" });
}

function bars(frame, step) {
  const width = Math.max(1.5, frame.x(step.start_s + STEP_S) - frame.x(step.start_s) - 1);
  let below = 0;
  return ["answered", "throttled", "failed"].filter((kind) => step[kind]).map((kind) => {
    const y = frame.y(below + step[kind]);
    const bar = svg("rect", { class: `bar ${kind}`, x: frame.x(step.start_s), y, width, height: frame.y(below) - y });
    below += step[kind];
    return bar;
  });
}

/** Put the drawing into the figure, with its title, its latest values in words, and its legend. */
function finish(figure, frame, title, words, legend) {
  if (!figure.firstElementChild) {
    figure.append(
      el("figcaption", {}, el("h3", {}, title), el("p", {})),
      el("div", { className: "drawing" }),
      el("ul", { className: "legend" }, ...legend.map(([kind, text]) =>
        el("li", {}, el("span", { className: `key ${kind}`, "aria-hidden": "true" }), text))));
  }
  frame.root.setAttribute("aria-label", `${title}. ${words}.`);
  say(figure.querySelector("figcaption p"), words);
  figure.querySelector(".drawing").replaceChildren(frame.root);
}

/** The next round number from `value` on that four grid lines divide well. */
function nice(value) {
  if (value <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((factor) => factor * size).find((round) => round >= value);
}
