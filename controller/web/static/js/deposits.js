// Deposits as a list, and the field for a pasted hash: those the server lists, and before them what only this
// browser knows. The server says what each is; nothing here decides anything.
import { h, minutes, shortAddress, tokens, toast } from "./dom.js";
import { confirming, OPEN, says, title, word } from "./deposit-words.js";
import { symbol } from "./money.js";
import { doing } from "./page.js";
import { forget, keep, look, remember } from "./sent.js";
import { state } from "./state.js";
import { WalletError } from "./wallet.js";

const LISTED = 6;

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
  keep(tx, view);
  toast(!view.yours && view.payer ? `This was paid by ${shortAddress(view.payer)}; that wallet gets the credit.` : view.message || title({ ...view, tx_hash: tx }));
  state.typedHash = "";
}

export function depositList() {
  const list = [...state.sent, ...state.deposits];
  if (!list.length) return null;
  return h("div", {}, h("h3", {}, "Deposits"), h("ul", { class: "deposits", id: "deposits" }, list.slice(0, LISTED).map(deposit)));
}

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
