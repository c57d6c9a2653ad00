// The payment panel: a row per currency with what its minimum buys, other amounts, the holder tier, and the hash field.
import { at, h, duration, tokens, shortAddress } from "./dom.js";
import { draw as drawInto } from "./drawing.js";
import { connect, current, wallets, WalletError } from "./wallet.js";
import { amountFor, minutesText, parseAmount, symbol, worth } from "./money.js";
import { hashField } from "./deposits.js";
import { review } from "./review.js";
import { chainOf, send } from "./sending.js";
import { since } from "./ticking.js";
import { walletList } from "./wallet-list.js";
import { signOut } from "./header.js";
import { doing, draw } from "./page.js";
import { limitMs, state } from "./state.js";

const HOURS = [1, 10, 100];

export function payPanel() {
  const { rates } = state;
  if (!rates) return h("p", { class: "sub" }, "Reading today's rates…");
  const off = rates.rows.filter((row) => !row.enabled).map((row) => symbol(row.rail));
  return h("div", { class: "pay", id: "pay" },
    h("h2", {}, "Top up"),
    limitNote(),
    rates.rows.filter((row) => row.enabled).map(rail),
    off.length ? h("p", { class: "sub" }, `Not offered here: ${off.join(", ")}.`) : null,
    current() ? null : reconnectWallet(),
    holding(rates), hashField());
}

/** A promise to somebody else is not moved for a top-up; credit is booked in any case. Said before the wallet opens. */
function limitNote() {
  const limit = limitMs();
  return limit === null ? null : h("p", { class: "note", id: "limit-note" }, `Your GPUs are promised to an earlier request from ${at.format(limit)} on. A top-up keeps this session until then at most, unless that request starts elsewhere; what is left stays your credit.`);
}

function rail(row) {
  const name = symbol(row.rail);
  const sending = state.sending?.row.rail === row.rail;
  return h("section", { class: "rail", "data-rail": row.rail, "aria-label": `Pay with ${name}` },
    h("div", { class: "rail-head" }, h("strong", {}, name), price(row, name)),
    sending ? review() : offer(row, name),
    state.problem?.rail === row.rail ? h("p", { class: "problem", role: "alert" }, state.problem.text) : null);
}

function price(row, name) {
  if (!row.usd_price_text) return null;
  const age = row.price_updated_at_ms ? [" · ", since(row.price_updated_at_ms)] : " · fixed";
  return h("small", { class: "num" }, `1 ${name} = $${row.usd_price_text}`, age);
}

function offer(row, name) {
  const open = state.open === row.rail;
  const blocked = Boolean(state.busy) || !current() || Boolean(row.why_not);
  return [
    h("p", { class: "gets" }, `${row.minimum_text} ${name}`, row.minutes_for_minimum === null ? null : [" buys ", h("b", {}, `${row.minutes_for_minimum} minutes`)]),
    row.why_not ? h("p", { class: "why-not" }, row.why_not) : null,
    h("p", { class: "notes" }, notes(row), row.contract ? [" Contract ", h("span", { class: "mono", title: row.contract }, shortAddress(row.contract)), "."] : null),
    h("div", { class: "rail-do" },
      h("button", { type: "button", class: first(row) ? "button wide" : "button quiet wide", id: `send-${row.rail}`, disabled: blocked, onclick: () => send(row) }, `Send min ${name}`),
      row.why_not ? null : h("button", { type: "button", class: "link", id: `other-${row.rail}`, "aria-expanded": String(open), onclick: () => { state.open = open ? "" : row.rail; draw(); } }, open ? "Only the minimum" : "Another amount, 1 h, 10 h, 100 h")),
    open && !row.why_not ? otherAmount(row, name, blocked) : null,
  ];
}

/** The first row that can be used has the one loud button. */
const first = (row) => state.rates.rows.find((one) => one.enabled && !one.why_not)?.rail === row.rail;

function notes(row) {
  const percent = (bps) => `${bps / 100} %`;
  return [
    row.discount_bps ? `${percent(row.discount_bps)} holder discount included.` : "",
    row.bonus_bps ? `${percent(row.bonus_bps)} bonus included.` : "",
    row.rail === "usdc" ? "No holder discount." : "",
    row.saves_text ? `${row.saves_text}.` : "",
    `On ${chainOf(row).name}.`,
  ].filter(Boolean).join(" ");
}

function otherAmount(row, name, blocked) {
  const typed = state.typed[row.rail] ?? "";
  const form = h("form", { class: "other", onsubmit: (event) => { event.preventDefault(); const wish = wishOf(row); if (wish && !blocked) send(row, wish); } },
    h("div", { class: "chips", role: "group", "aria-label": "Shortcuts, GPU time" }, HOURS.map((hours) => chip(row, hours, blocked))),
    h("label", { for: `amount-${row.rail}` }, `Amount in ${name}`),
    h("div", { class: "hash-row" },
      h("input", { type: "text", inputmode: "decimal", id: `amount-${row.rail}`, name: "amount", autocomplete: "off", spellcheck: "false", value: typed, placeholder: row.minimum_text, "aria-describedby": `buys-${row.rail}`,
        oninput: (event) => { state.typed[row.rail] = event.target.value; preview(event.target.form, row, blocked); } }),
      h("button", { class: "button", id: `send-amount-${row.rail}` }, "Send")),
    h("p", { class: "sub", id: `buys-${row.rail}`, "aria-live": "polite" }));
  preview(form, row, blocked);
  return form;
}

const chip = (row, hours, blocked) => h("button", { type: "button", class: "chip-button", id: `hours-${hours}-${row.rail}`, disabled: blocked, onclick: () => send(row, { hours }) },
  h("strong", {}, `${hours} h`), h("span", { class: "num" }, `${tokens(amountFor(row, hours), row.decimals)}`));

/** The typed amount as a wish; null while it cannot be sent. */
function wishOf(row) {
  const amount = parseAmount(state.typed[row.rail] ?? "", row.decimals);
  return amount !== null && amount >= BigInt(row.minimum) ? { amount } : null;
}

/** Rewritten as one types, without drawing anything else anew. */
function preview(form, row, blocked) {
  const says = form.querySelector("[aria-live]");
  form.querySelector(`#send-amount-${row.rail}`).disabled = blocked || !wishOf(row);
  drawInto(says, [state.typed[row.rail], row.gpu_ms_per_unit_text, state.profile], () => previewText(row));
}

function previewText(row) {
  const typed = state.typed[row.rail] ?? "";
  if (!typed.trim()) return `At least ${row.minimum_text} ${symbol(row.rail)}.`;
  const amount = parseAmount(typed, row.decimals);
  if (amount === null) return `A number with at most ${row.decimals} decimals.`;
  if (amount < BigInt(row.minimum)) return `${tokens(BigInt(row.minimum) - amount, row.decimals)} ${symbol(row.rail)} less than the minimum.`;
  const gpuMs = worth(row, amount);
  const profile = state.profiles.find((one) => one.name === state.profile);
  return [`Buys about ${minutesText(gpuMs)} minutes`, profile ? `, ${duration(gpuMs / profile.gpus)} on ${profile.title}.` : "."].join("");
}

function reconnectWallet() {
  const again = (wallet) => doing("reconnect", async () => {
    const chosen = await connect(wallet, signOut);
    if (chosen.address !== state.me.wallet) throw new WalletError(`This wallet's account is ${shortAddress(chosen.address)}. You are signed in as ${shortAddress(state.me.wallet)}.`);
  });
  return h("div", {}, h("p", { class: "sub" }, "Choose the wallet to send from:"), walletList(wallets(), again));
}

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function holding({ holding: held }) {
  if (!held) return h("p", { class: "tier" }, "AXGT balance: cannot be read right now.");
  return h("div", { class: "tier" },
    h("span", {}, `${held.axgt_balance_text} AXGT in your wallet · ${held.tier_label}`),
    held.rises_at_ms ? h("span", {}, `The least of the last ${held.lookback_days} days counts. ${held.rises_to} from ${day.format(held.rises_at_ms)} if you keep what you hold.`) : null,
    held.next_tier_text ? h("span", {}, `${held.next_tier_text}.`) : null);
}
