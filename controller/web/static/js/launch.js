// The launch page: one state, refreshed from the API, drawn into two places.
import { get, whoAmI } from "./api.js";
import { drawSession } from "./session-panel.js";
import { drawWallet } from "./wallet-card.js";
import { lookAfter, pending } from "./deposits.js";
import { $, toast } from "./dom.js";
import { showSignedIn, signOut } from "./header.js";
import { startTicking } from "./ticking.js";
import { discover, lastChosen, connect, current } from "./wallet.js";

export const state = {
  config: null, me: null, rates: null, profiles: [], deposits: [], session: null, saved: null,
  profile: localStorage.getItem("axonos.profile") || "small",
  kind: localStorage.getItem("axonos.kind") === "ssh" ? "ssh" : "desktop", keys: [],
  // The payment panel: forced open or shut, the row with other amounts, what is typed, what is being sent, what went wrong.
  paying: location.hash === "#top-up" || null, open: "", typed: {}, typedHash: "", sending: null, problem: null, sent: [],
  busy: "", offsetMs: 0, opening: sessionStorage.getItem("axonos.opening") || "", stale: false,
};
export const now = () => Date.now() + state.offsetMs;

const title = document.title;

export function draw() {
  if (!state.config) return;
  drawSession($("#session"), state);
  drawWallet($("#wallet"), state);
  showSignedIn(state.me?.wallet);
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
    const [live, paid, sizes, list] = await Promise.all([get("sessions/current"), get("deposits"), get("profiles"), state.kind === "ssh" ? get("ssh-keys") : { keys: [] }]);
    state.keys = list.keys;
    noticeSession(live.session, live.saved);
    state.deposits = paid.deposits;
    state.profiles = sizes.profiles;
    lookAfter().then(draw);
    if (before !== undefined && state.me.balance.gpu_ms > before + 30000) noticeCredit();
  } else {
    Object.assign(state, { session: null, saved: null, deposits: [], sent: [], profiles: (await get("profiles")).profiles });
  }
  draw();
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

/** Whether the balance does not cover a minute of the smallest profile. */
export const tooLow = () => Boolean(state.me) && state.me.balance.available_gpu_ms < 60000 * (state.profiles[0]?.gpus ?? 1);

function noticeSession(session, saved) {
  const was = state.session;
  Object.assign(state, { session, saved });
  if (session && ["queued", "starting"].includes(session.state)) remember(session.id);
  if (state.opening && session?.id === state.opening && session.state === "running") arrived(session);
  if (was?.state === "starting" && !session) {
    remember("");
    toast(`The ${was.kind === "ssh" ? "shell" : "desktop"} could not be started. Nothing was billed. ${saved?.reason || ""}`, "bad");
  }
  const place = session?.state === "queued" ? `(${session.queue_position ?? "…"}) In the queue` : session?.state === "starting" ? "Starting…" : "";
  document.title = place ? `${place} · AxonOS` : title;
}

function remember(id) {
  state.opening = id;
  sessionStorage.setItem("axonos.opening", id);
}

/** What this page waited for is there: say so, and go to a desktop; a shell is shown right here. */
function arrived(session) {
  if (session.detached && session.kind !== "ssh") return;
  remember("");
  const shell = session.kind === "ssh";
  const ready = `Your ${shell ? "shell" : "desktop"} is ready`;
  document.title = ready;
  if (document.hidden && window.Notification?.permission === "granted") new Notification(ready, { body: shell ? "The page shows how to log in." : "It is open in your browser now.", icon: "/static/img/logo.svg" });
  if (!shell) location.assign(`/desktop/${session.id}`);
}

export const goTo = (id) => { remember(""); location.assign(state.session?.id === id && state.session.kind === "ssh" ? "/launch" : `/desktop/${id}`); };

function interval() {
  if (state.session?.state === "starting") return 150;
  if (state.session?.state === "ending") return 500;
  if (state.session?.state === "queued" || (state.me && pending())) return 1500;
  return 5000;
}

async function poll() {
  try {
    if (!state.busy) await refresh();
    state.stale = false;
  } catch (error) {
    if (!state.stale) toast(error.message, "bad");
    state.stale = true;
  }
  setTimeout(poll, interval());
}

addEventListener("hashchange", () => { if (location.hash === "#top-up") { state.paying = true; draw(); } });

async function start() {
  state.config = await get("config");
  discover(() => { draw(); if (state.me && !current()) reconnect(); });
  await Promise.all([refresh(), refreshRates().catch(fail)]);
  $("#session").removeAttribute("aria-busy");
  if (state.me && !current()) reconnect();
  setTimeout(poll, interval());
  setInterval(draw, 1000);
  startTicking(now);
  setInterval(() => refreshRates().catch(() => {}), 20000);
}

/** A reload keeps the sign-in; the wallet is asked again quietly, and must still be the same account. */
async function reconnect() {
  const wallet = lastChosen();
  const accounts = wallet ? await wallet.provider.request({ method: "eth_accounts" }).catch(() => []) : [];
  if (accounts[0]?.toLowerCase() === state.me?.wallet) await connect(wallet, signOut).catch(() => {});
  draw();
}

start().catch(fail);
