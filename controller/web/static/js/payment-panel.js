// The payment panel: a row per rail, sending the minimum, crediting a hash, and the deposits so far.
import { h, toast, minutes, tokens, shortAddress } from "./dom.js";
import { post } from "./api.js";
import { connect, current, pay, wallets, WalletError } from "./wallet.js";
import { walletList } from "./wallet-card.js";
import { signOut } from "./header.js";
import { state, doing, draw } from "./launch.js";

const SYMBOL = { eth: "ETH", usdc: "USDC", axgt: "AXGT" };
const symbol = (rail) => SYMBOL[rail.toLowerCase()] || rail.toUpperCase();

export function payPanel() {
  const { rates } = state;
  if (!rates) return h("p", { class: "sub" }, "Reading today's rates…");
  return h("div", { class: "pay", id: "pay" },
    h("h2", {}, "Top up"),
    rates.rows.filter((row) => row.enabled).map(rail),
    rates.rows.some((row) => !row.enabled) ? h("p", { class: "sub" }, `Not offered here: ${rates.rows.filter((row) => !row.enabled).map((row) => symbol(row.rail)).join(", ")}.`) : null,
    current() ? null : reconnectWallet(),
    tier(rates), hashField());
}

function rail(row) {
  const name = symbol(row.rail);
  const sending = state.busy === `send:${row.rail}`;
  const known = row.minutes_for_minimum !== null;
  return h("div", { class: "rail", "data-rail": row.rail },
    h("div", { class: "rail-head" }, h("strong", {}, name), row.usd_price_text ? h("small", { class: "num" }, `1 ${name} = $${row.usd_price_text}`) : null),
    h("p", { class: "gets" }, `${row.minimum_text} ${name}`, known ? [" buys ", h("b", {}, `${row.minutes_for_minimum} minutes`)] : null),
    known ? null : h("small", { class: "off" }, "There is no trustworthy price right now. A deposit is safe and is credited as soon as there is one."),
    row.discount_bps ? h("small", {}, `${row.discount_bps / 100} % holder discount included`) : null,
    h("button", { type: "button", class: "button wide", id: `send-${row.rail}`, disabled: Boolean(state.busy) || !current(), onclick: () => send(row) },
      sending ? "Waiting for your wallet…" : `Send min ${name}`));
}

function reconnectWallet() {
  const again = (wallet) => doing("reconnect", async () => {
    const chosen = await connect(wallet, signOut);
    if (chosen.address !== state.me.wallet) throw new WalletError(`This wallet's account is ${shortAddress(chosen.address)}. You are signed in as ${shortAddress(state.me.wallet)}.`);
  });
  return h("div", {}, h("p", { class: "sub" }, "Choose the wallet to send from:"), walletList(wallets(), again));
}

function tier(rates) {
  if (rates.axgt_balance_text === null) return h("p", { class: "tier" }, "AXGT balance: cannot be read right now.");
  return h("div", { class: "tier" },
    h("span", {}, `${rates.axgt_balance_text} AXGT in your wallet · ${rates.tier_label}`),
    rates.next_tier_text ? h("span", {}, rates.next_tier_text) : null);
}

function hashField() {
  const credit = (event) => {
    event.preventDefault();
    const field = event.target.elements.hash;
    state.typedHash = field.value.trim();
    doing("credit", () => creditHash(state.typedHash));
  };
  return h("form", { class: "hash", onsubmit: credit },
    h("label", { for: "hash" }, "Already sent? Paste the transaction hash."),
    h("div", { class: "hash-row" },
      h("input", { type: "text", id: "hash", name: "hash", placeholder: "0x…", spellcheck: "false", autocomplete: "off", value: state.lastHash || state.typedHash || "", oninput: (event) => { state.typedHash = event.target.value.trim(); } }),
      h("button", { class: "button quiet", id: "credit", disabled: Boolean(state.busy) }, state.busy === "credit" ? "Looking…" : "Credit deposit")));
}

function send(row) {
  return doing(`send:${row.rail}`, async () => {
    state.lastHash = await pay(state.config.chain, row);
    toast("Sent. It is credited by itself; you can leave this page.");
    await creditHash(state.lastHash).catch((error) => { if (!error.retry) throw error; });
  });
}

async function creditHash(hash) {
  if (!/^0x[0-9a-fA-F]{64}$/.test(hash)) throw new WalletError("A transaction hash is 0x and 64 hex digits.");
  const deposit = await post("deposits", { tx_hash: hash });
  if (!deposit.yours && deposit.payer) toast(`This was paid by ${shortAddress(deposit.payer)}; that wallet gets the credit.`);
  else if (deposit.message) toast(deposit.message);
  state.typedHash = "";
}

const LINE = {
  seen: ["Pending", ""], confirming: ["Pending", ""], price_pending: ["Waiting for a price", "warn"],
  credited: ["Credited", ""], final: ["Credited, final", ""], orphaned: ["The chain took it back; watching", "warn"],
  below_min: ["Below the minimum, not credited", "bad"], unattributed: ["Payer unclear; the operator sees it", "warn"],
  wrong_asset: ["Not a token this site takes", "bad"], reversed: ["Reversed with the chain", "bad"],
};

export function depositList() {
  return h("div", {}, h("h3", {}, "Deposits"), h("ul", { class: "deposits", id: "deposits" }, state.deposits.slice(0, 5).map(deposit)));
}

function deposit(view) {
  const [line, kind] = LINE[view.state] || [view.state, ""];
  const pending = view.state === "seen" || view.state === "confirming";
  const row = state.rates?.rows.find((rate) => rate.rail.toLowerCase() === (view.asset || "").toLowerCase());
  const amount = view.amount === null ? "" : row ? `${tokens(view.amount, row.decimals)} ${symbol(row.rail)}` : view.amount;
  const confirmed = Math.min(view.confirmations, view.required);
  return h("li", { class: "deposit", "data-state": view.state },
    h("div", { class: "deposit-head" }, h("span", { class: kind }, pending ? `Pending, ${confirmed} of ${view.required}` : line),
      h("span", { class: "num" }, view.credited_gpu_ms ? h("span", { class: "plus" }, `+${minutes(view.credited_gpu_ms)} min`) : amount)),
    pending ? h("div", { class: "confirmations", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": view.required, "aria-valuenow": confirmed, "aria-label": "Confirmations" },
      Array.from({ length: Math.min(view.required, 32) }, (_, index) => h("i", { class: index < confirmed ? "on" : "" }))) : null,
    !pending && view.message && kind ? h("span", { class: kind }, view.message) : null,
    h("span", { class: "mono" }, `${view.tx_hash.slice(0, 12)}…${view.tx_hash.slice(-6)}`, view.credited_gpu_ms && amount ? ` · ${amount}` : ""));
}
