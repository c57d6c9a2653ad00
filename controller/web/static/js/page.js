// The launch page as a whole: refresh its state from the API, run one action at a time, have its views drawn anew.
import { lookAhead } from "./ahead.js";
import { get, post, whoAmI } from "./api.js";
import { pause, toast } from "./dom.js";
import { lookAfter } from "./sent.js";
import { chime } from "./sound.js";
import { state, tooLow } from "./state.js";

const title = document.title;
let beaten = 0;
const CHIME_MS = 500;

const views = [];

/** A view is drawn whenever the state may have changed. */
export const drawWith = (...drawing) => views.push(...drawing);

export function draw() {
  if (state.config) for (const view of views) view();
}

export function fail(error) {
  if (error.status === 401) state.me = null;
  toast(error.message, "bad");
  draw();
}

/** Run one action at a time; its name disables what must not be clicked twice. */
export async function doing(name, action) {
  if (state.busy) return;
  state.busy = name;
  draw();
  try {
    await action();
  } catch (error) {
    fail(error);
  }
  state.busy = "";
  await refresh();
}

export async function refresh() {
  const before = state.me?.balance.gpu_ms;
  state.me = await whoAmI();
  if (state.me) {
    state.offsetMs = state.me.server_now_ms - Date.now();
    const [live, paid, , list] = await Promise.all([get("sessions/current"), get("deposits"), sizes(), state.kind === "ssh" ? get("ssh-keys") : { keys: [] }]);
    state.keys = list.keys;
    noticeSession(live.session, live.saved);
    watch();
    state.deposits = paid.deposits;
    lookAhead().then(draw, () => {});
    lookAfter().then(draw);
    if (before !== undefined && state.me.balance.gpu_ms > before + 30000) noticeCredit();
  } else {
    Object.assign(state, { session: null, saved: null, deposits: [], sent: [] });
    await sizes();
  }
  draw();
}

/** The sizes there are, on the chosen GPU model, and the models. */
async function sizes() {
  const { profiles, gpu_models: gpuModels } = await get(`profiles?${new URLSearchParams({ gpu_model: state.gpuModel })}`);
  Object.assign(state, { profiles, gpuModels });
}

export async function refreshRates() {
  state.rates = await get("rates");
  draw();
}

function noticeCredit() {
  toast(state.session && state.session.state === "running" && !state.session.detached ? "Your deposit is credited. Your desktop goes on in its tab." : "Your deposit is credited.");
  state.credited = Date.now();
  refreshRates().catch(() => {});
  if (!tooLow()) state.paying = null;
  if (state.returnTo && state.returnTo === state.session?.id) goTo(state.returnTo);
}

/** A page that waits says so: a claim nobody watches is given up after a while, and starts detached. */
function watch() {
  const { session, config } = state;
  if (!session || !["queued", "starting"].includes(session.state) || Date.now() - beaten < (config?.heartbeat_s ?? 20) * 1000) return;
  beaten = Date.now();
  post(`sessions/${session.id}/heartbeat`).catch(() => {});
}

function noticeSession(session, saved) {
  const was = state.session;
  Object.assign(state, { session, saved });
  if (session?.state === "queued") state.waited = session.id;
  if (session && ["queued", "starting"].includes(session.state)) remember(session.id);
  if (state.opening && session?.id === state.opening && session.state === "running") arrived(session, state.waited === session.id);
  if (was?.state === "starting" && !session) {
    remember("");
    toast(`The ${was.kind === "ssh" ? "shell" : "desktop"} could not be started. Nothing was billed. ${saved?.reason || ""}`, "bad");
  }
  const place = session?.state === "queued" ? `(${session.queue_position ?? "…"}) In the queue` : session?.state === "starting" ? "Starting…" : "";
  document.title = place ? `${place} · AxonOS` : title;
}

export function remember(id) {
  state.opening = id;
  sessionStorage.setItem("axonos.opening", id);
}

/** What this page waited for is there: say so, and go to a desktop; a shell is shown right here. */
async function arrived(session, waited) {
  if (session.detached && session.kind !== "ssh") return;
  remember("");
  const shell = session.kind === "ssh";
  const ready = `Your ${shell ? "shell" : "desktop"} is ready`;
  document.title = ready;
  if (document.hidden && window.Notification?.permission === "granted") new Notification(ready, { body: shell ? "The page shows how to log in." : "It is open in your browser now.", icon: "/static/img/logo.svg" });
  if (waited) chime();
  if (!shell && waited) await pause(CHIME_MS);
  if (!shell) location.assign(`/desktop/${session.id}`);
}

export const goTo = (id) => { remember(""); location.assign(state.session?.id === id && state.session.kind === "ssh" ? "/launch" : `/desktop/${id}`); };
