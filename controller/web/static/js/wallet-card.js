// The wallet card: wallets to choose from, then the balance, which turns into the payment panel when it is too low.
import { h, minutes, duration } from "./dom.js";
import { draw } from "./drawing.js";
import { current, wallets } from "./wallet.js";
import { signIn } from "./sign-in.js";
import { depositList } from "./deposits.js";
import { payPanel } from "./payment-panel.js";
import { signOut } from "./header.js";
import { walletList } from "./wallet-list.js";
import { doing, draw as redraw, refreshRates } from "./page.js";
import { state, tooLow } from "./state.js";

export function drawWallet(target) {
  const paying = state.me && (state.paying ?? tooLow());
  const model = [
    state.me?.wallet, state.me?.balance, state.busy, paying, state.rates, state.deposits, state.sent, state.credited,
    state.session?.guarantee?.stay_until_ms, state.open, state.problem, state.sending?.step, state.sending?.quote, state.profile, state.profiles.map((profile) => profile.lasts_minutes), wallets().map((wallet) => wallet.id), current()?.id,
  ];
  draw(target, model, () => (state.me ? balanceCard(paying) : chooseCard()));
}

const enter = (wallet) => doing(`sign-in:${wallet.id}`, async () => { await signIn(wallet, signOut); await refreshRates(); });

function chooseCard() {
  const list = wallets();
  return h("div", { class: "card wallet-card" },
    h("h2", {}, "Connect your wallet"),
    h("p", { class: "sub" }, "Your wallet is your account. You sign one text: no transaction, no cost."),
    list.length ? walletList(list, enter) : h("p", { class: "sub" }, "No wallet was found in this browser. Install one, then reload this page."));
}

function balanceCard(paying) {
  const { balance } = state.me;
  const fresh = Date.now() - (state.credited || 0) < 2000;
  return h("div", { class: "card wallet-card" },
    h("h2", {}, "Balance"),
    h("p", { class: `balance ${fresh ? "up" : ""}`, id: "balance" }, h("strong", {}, minutes(balance.gpu_ms)), "minutes"),
    balance.held_gpu_ms ? h("p", { class: "sub" }, `${minutes(balance.held_gpu_ms)} min of it set aside for your session.`) : null,
    paying && balance.gpu_ms < 60000 ? h("p", { class: "sub" }, "Top up to launch a desktop. Minutes never expire.") : lasts(),
    paying ? payPanel() : h("button", { type: "button", class: "button quiet wide", id: "top-up", onclick: () => { state.paying = true; redraw(); } }, "Top up"),
    depositList(),
    paying && !tooLow() ? h("button", { type: "button", class: "link", id: "pay-close", onclick: () => { state.paying = false; redraw(); } }, "Close the payment panel") : null);
}

function lasts() {
  const lines = state.profiles.filter((profile) => profile.lasts_minutes !== null);
  return h("ul", { class: "lasts", "aria-label": "How long it lasts" }, lines.map((profile) =>
    h("li", {}, h("span", {}, `${profile.title}, ${profile.burn_rate}×`), h("span", { class: "num" }, duration(profile.lasts_minutes * 60000)))));
}
