// The launch page: its views, drawn into two places from one state that is polled.
import { get } from "./api.js";
import { $, toast } from "./dom.js";
import { showSignedIn, signOut } from "./header.js";
import { draw, drawWith, fail, refresh, refreshRates } from "./page.js";
import { pending } from "./sent.js";
import { drawSession } from "./session-panel.js";
import { now, state } from "./state.js";
import { startTicking } from "./ticking.js";
import { discover, lastChosen, connect, current } from "./wallet.js";
import { drawWallet } from "./wallet-card.js";

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
  drawWith(() => drawSession($("#session")), () => drawWallet($("#wallet")), () => showSignedIn(state.me?.wallet));
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
