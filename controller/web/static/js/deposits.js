// Deposits: those the server lists, and transactions this browser sent or was told of that are not among them yet.
// The server says what each is; nothing here decides anything.
import { post } from "./api.js";
import { announce, h, minutes, shortAddress, tokens, toast } from "./dom.js";
import { symbol } from "./money.js";
import { WalletError } from "./wallet.js";
import { state, doing } from "./launch.js";

const LISTED = 6;
const ASK_AGAIN_MS = 4000;
const KEPT_MS = 24 * 3600000;
const OPEN = new Set(["seen", "confirming", "price_pending", "orphaned", "waiting", "transaction_unknown", "unknown"]);
const LINE = {
  waiting: ["Sent, not mined yet", ""], seen: ["Pending", ""], confirming: ["Pending", ""], price_pending: ["Waiting for a price", "warn"],
  credited: ["Credited", ""], final: ["Credited, final", ""], orphaned: ["The chain took it back; watching", "warn"],
  below_min: ["Below the minimum, kept", "warn"], unattributed: ["Payer unclear; the operator sees it", "warn"],
  wrong_asset: ["Not accepted here", "bad"], reversed: ["Reversed with the chain", "bad"], returned: ["Sent back by the operator", ""],
  replaced: ["Replaced by another transaction", "warn"], dropped: ["Dropped by the network", "warn"],
  transaction_failed: ["Failed on the chain", "bad"], not_to_revenue_wallet: ["Pays nothing to this site", "bad"],
  unsupported_token: ["Unsupported token", "bad"], transaction_unknown: ["Not known on the chain yet", "warn"], unknown: ["Not known on the chain yet", "warn"],
};

// What the line's own title and figures say already.
const SAID = [/ ?Pending: \d+ of \d+ confirmations\.$/, /^Credited: [\d.]+ minutes for [\d.]+ [A-Z]+\. ?/, /^Final on the chain\. ?/, /^Sent, not mined yet; /];
const says = (view) => SAID.reduce((text, part) => text.replace(part, ""), view.message || "").replace(/^[a-z]/, (letter) => letter.toUpperCase());

const place = () => `axonos.sent.${state.me.wallet}`;
const read = () => JSON.parse(localStorage.getItem(place()) || "[]").filter((one) => Date.now() - one.at < KEPT_MS);
const write = (list) => localStorage.setItem(place(), JSON.stringify(list.slice(-20)));
const asked = new Map();

/** Look after a transaction until the server lists it. */
export function remember(hash, rail = null) {
  const tx = hash.toLowerCase();
  write([...read().filter((one) => one.hash !== tx), { hash: tx, rail, at: Date.now(), view: { state: "waiting", message: "" } }]);
  asked.delete(tx);
  collect();
}

function forget(hash) {
  write(read().filter((one) => one.hash !== hash));
  collect();
}

/** What is shown: the server's list, and before it what only this browser knows. */
function collect() {
  if (!state.me) return;
  const known = new Set(state.deposits.map((one) => one.tx_hash));
  const rest = read().filter((one) => !known.has(one.hash));
  write(rest);
  state.sent = rest.reverse().map((one) => ({ confirmations: 0, required: 0, amount: null, asset: one.rail, ...one.view, tx_hash: one.hash, local: true }));
}

/** Ask about what the server does not list yet; a few at a time, each every few seconds. */
export async function lookAfter() {
  collect();
  const due = state.sent.filter((one) => OPEN.has(one.state) && Date.now() - (asked.get(one.tx_hash) || 0) > ASK_AGAIN_MS).slice(0, 3);
  for (const one of due) {
    asked.set(one.tx_hash, Date.now());
    const view = await look(one.tx_hash).catch(() => null);
    if (!state.me) return;
    if (view) write(read().map((kept) => (kept.hash === one.tx_hash ? { ...kept, view } : kept)));
  }
  collect();
  announce([...state.sent, ...state.deposits].slice(0, 1).map(title).join(""));
}

async function look(hash) {
  try {
    return await post("deposits", { tx_hash: hash });
  } catch (error) {
    if (error.status >= 500 || !LINE[error.code]) throw error;
    return { state: error.code, message: error.message };
  }
}

export const pending = () => [...state.sent, ...state.deposits].some((one) => OPEN.has(one.state));

export function hashField() {
  const credit = (event) => {
    event.preventDefault();
    state.typedHash = event.target.elements.hash.value.trim();
    doing("credit", () => creditHash(state.typedHash));
  };
  return h("form", { class: "hash", onsubmit: credit },
    h("label", { for: "hash" }, "Already sent? Paste the transaction hash."),
    h("div", { class: "hash-row" },
      h("input", { type: "text", id: "hash", name: "hash", placeholder: "0x…", spellcheck: "false", autocomplete: "off", value: state.typedHash || "", oninput: (event) => { state.typedHash = event.target.value.trim(); } }),
      h("button", { class: "button quiet", id: "credit", disabled: Boolean(state.busy) }, state.busy === "credit" ? "Looking…" : "Credit deposit")));
}

async function creditHash(hash) {
  if (!/^(0x)?[0-9a-f]{64}$/i.test(hash)) throw new WalletError("A transaction hash is 0x and 64 hex digits.");
  const tx = `0x${hash.slice(-64).toLowerCase()}`;
  const view = await look(tx);
  remember(tx);
  write(read().map((kept) => (kept.hash === tx ? { ...kept, view } : kept)));
  toast(!view.yours && view.payer ? `This was paid by ${shortAddress(view.payer)}; that wallet gets the credit.` : view.message || title({ ...view, tx_hash: tx }));
  state.typedHash = "";
}

export function depositList() {
  const list = [...state.sent, ...state.deposits];
  if (!list.length) return null;
  return h("div", {}, h("h3", {}, "Deposits"), h("ul", { class: "deposits", id: "deposits" }, list.slice(0, LISTED).map(deposit)));
}

// Without an amount it is in no block yet.
const confirming = (view) => (view.state === "seen" || view.state === "confirming") && view.amount !== null;
const word = (view) => LINE[view.state === "seen" && view.amount === null ? "waiting" : view.state] || [view.state, ""];
const title = (view) => (confirming(view) && view.required ? `Pending, ${Math.min(view.confirmations, view.required)} of ${view.required}` : word(view)[0]);

function deposit(view) {
  const kind = word(view)[1];
  const row = state.rates?.rows.find((rate) => rate.rail === (view.asset || "").toLowerCase());
  const amount = view.amount === null || view.amount === undefined ? "" : row ? `${tokens(view.amount, row.decimals)} ${symbol(row.rail)}` : view.amount;
  return h("li", { class: "deposit", "data-state": view.state, "data-tx": view.tx_hash },
    h("div", { class: "deposit-head" }, h("span", { class: kind }, title(view)),
      h("span", { class: "num" }, view.credited_gpu_ms ? h("span", { class: "plus" }, `+${minutes(view.credited_gpu_ms)} min`) : amount)),
    confirming(view) && view.required ? progress(view) : null,
    says(view) ? h("span", { class: "says" }, says(view)) : null,
    h("span", { class: "deposit-foot" }, h("span", { class: "mono" }, `${view.tx_hash.slice(0, 12)}…${view.tx_hash.slice(-6)}`), view.credited_gpu_ms && amount ? ` · ${amount}` : "", state.config.chains.length > 1 && view.chain_name ? ` · ${view.chain_name}` : "",
      view.local && !OPEN.has(view.state) ? h("button", { type: "button", class: "link", onclick: () => { forget(view.tx_hash); doing("hide", async () => {}); } }, "Hide") : null));
}

function progress(view) {
  const confirmed = Math.min(view.confirmations, view.required);
  return h("div", { class: "confirmations", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": view.required, "aria-valuenow": confirmed, "aria-label": "Confirmations" },
    Array.from({ length: Math.min(view.required, 32) }, (_, index) => h("i", { class: index < confirmed ? "on" : "" })));
}
