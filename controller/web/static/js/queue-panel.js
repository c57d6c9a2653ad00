// The queue on the launch page: place and reason, promise and guess, a bounded start, and the GPUs over time.
// Counts of GPUs only, nobody's name.
import { post } from "./api.js";
import { leaveQueue } from "./claims.js";
import { at, h, ask, duration } from "./dom.js";
import { doing } from "./page.js";
import { now, state, wantedModel } from "./state.js";

const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const count = (gpus) => `${gpus} GPU${gpus > 1 ? "s" : ""}`;
const DAY_MS = 86400000;
const BOUNDED = "After that it ends if an earlier request still needs its GPUs. You are warned 30, 10 and 3 minutes before, and your files are kept.";

/** The panel of a waiting claim; `parts` are the launch page's own panel, facts and buttons. */
export function queuedPanel(session, { panel, facts, button, profileTitle }) {
  const queue = session.queue;
  return panel("queued",
    h("div", { class: "stage" }, h("div", { class: "place num" }, session.queue_position ?? "…"),
      h("div", {}, h("h1", {}, session.queue_position === 1 ? "You are next" : "You are in the queue"), h("p", { class: "sub", id: "queue-reason" }, reason(session)))),
    facts(["Profile", `${profileTitle(session.profile)}, ${count(session.gpus)}`], session.gpu_model ? ["GPU model", session.gpu_model] : null, ["Waiting for", duration(now() - session.claimed_at_ms)], ["Billed so far", "nothing"]),
    queue ? promised(queue, facts) : null,
    queue ? offer(session, profileTitle, button) : null,
    gpusOverTime(),
    h("p", { class: "sub" }, "It starts by itself when GPUs free up, even if you close this page. A smaller request that fits the free GPUs may start before yours."),
    h("p", { class: "actions" }, button("leave", "Leave the queue", () => leaveQueue(session), true), notifyButton(button)));
}

/** The promise, the guess and what is ahead. */
function promised(queue, facts) {
  const ahead = queue.ahead.length ? queue.ahead.map(count).join(", ") : "nobody";
  return [
    facts(queue.latest_start_ms ? ["Starts no later than", at.format(queue.latest_start_ms)] : null, queue.probable_start_ms ? ["Probably by", at.format(queue.probable_start_ms)] : null, ["Ahead of you", ahead]),
    queue.broken_why ? h("p", { class: "why-not", role: "alert" }, `This promise cannot be kept: ${queue.broken_why}. It starts as soon as it can.`) : null,
  ];
}

/** GPUs are free now but promised to somebody else later: its owner may take them until then. */
function offer(session, profileTitle, button) {
  const until = session.queue.offer_until_ms;
  if (!until) return session.queue.accept_bounded ? h("p", { class: "sub" }, "You take an early start; the guarantee that you were shown is gone for the moment.") : null;
  const title = profileTitle(session.profile);
  const accept = () => doing("accept", () => post(`sessions/${session.id}/accept`, { accept_until_ms: until }));
  const confirm = async () => { if (await ask(`Start a ${title} now?`, `It is guaranteed until ${at.format(until)}. ${BOUNDED}`, "Start now")) accept(); };
  return h("div", { class: "offer", id: "offer" },
    h("p", {}, `Start a ${title} now, guaranteed until ${at.format(until)}. ${BOUNDED}`),
    h("p", { class: "actions" }, button("accept", `Start now, until ${hour.format(until)}`, confirm)));
}

const reason = (session) => {
  const text = session.queue_reason || "insufficient free GPUs for requested profile";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
};

function notifyButton(button) {
  if (!window.Notification || Notification.permission !== "default") return null;
  return button("notify", "Tell me when it starts", async () => { await Notification.requestPermission(); state.told = Date.now(); }, true);
}

/** Beside the launch button: what a claim of this profile would be told now, and the choice of a bounded start. */
export function outlook(profile) {
  const seen = state.outlook;
  if (!state.me || seen?.profile !== profile.name || seen.gpu_model !== wantedModel() || !profile.possible) return null;
  if (seen.starts_now) return h("p", { class: "sub", id: "outlook" }, "Enough GPUs are free: it starts at once.");
  const when = seen.latest_start_ms ? ` It would start no later than ${at.format(seen.latest_start_ms)}, by today's plan at ${at.format(seen.planned_start_ms)}.` : " It would wait in the queue.";
  return h("div", { class: "outlook", id: "outlook" }, h("p", { class: "sub" }, `Not enough GPUs are free for it.${when}`), seen.offer_until_ms ? bounded(profile, seen.offer_until_ms) : null, gpusOverTime());
}

/** No by default: who launches says so with the instant in sight. */
function bounded(profile, until) {
  const set = (event) => { state.acceptUntil = event.target.checked ? until : null; };
  return h("label", { class: "offer" }, h("input", { type: "checkbox", id: "accept-bounded", checked: state.acceptUntil === until, onchange: set }),
    h("span", {}, h("strong", {}, `Start a ${profile.title} now, guaranteed until ${at.format(until)}.`), ` ${BOUNDED}`));
}

/** Each host as a strip from now to twelve hours on, or to your own place: in use, planned for who waits, planned for you. */
function gpusOverTime() {
  const drawn = state.gpus;
  if (!drawn?.hosts.length) return null;
  const width = drawn.until_ms - drawn.now_ms;
  const marks = [0, 1, 2, 3].map((third) => drawn.now_ms + (third * width) / 3);
  return h("figure", { class: "gpus", id: "gpus" },
    h("figcaption", {}, "GPUs over time, if nobody leaves early: ", ["in use", "planned", "yours"].map((name) => h("span", { class: `key ${name.replace(" ", "-")}` }, name))),
    drawn.hosts.map((host, index) => strip(host, index, drawn)),
    h("div", { class: "hours" }, marks.map((mark, index) => h("span", { class: "num" }, index ? (width > DAY_MS / 2 ? at : hour).format(mark) : "now"))),
    drawn.more_hosts ? h("p", { class: "sub" }, `${drawn.more_hosts} more hosts are not drawn.`) : null);
}

const BLOCKS = [["in_use", "in-use"], ["planned", "planned"], ["yours", "yours"]];

function strip(host, index, { now_ms: from, until_ms: until }) {
  const rects = host.steps.flatMap((step, place) => {
    const end = host.steps[place + 1]?.from_ms ?? until;
    let low = host.gpus;
    return BLOCKS.map(([field, name]) => {
      low -= step[field];
      return svg("rect", { class: name, x: ((step.from_ms - from) * 1000) / (until - from), width: ((end - step.from_ms) * 1000) / (until - from), y: low, height: step[field] });
    });
  });
  const used = host.steps[0].in_use;
  const chart = svg("svg", { viewBox: `0 0 1000 ${host.gpus}`, preserveAspectRatio: "none", role: "img", "aria-label": `Host ${index + 1}: ${used} of ${host.gpus} GPUs in use now` }, rects);
  return h("div", { class: "strip" }, h("span", { class: "num" }, `${used}/${host.gpus}`), chart);
}

function svg(tag, attributes, children = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
