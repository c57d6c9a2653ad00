// Transactions this browser sent or was told of, kept until the server lists them.
import { post } from "./api.js";
import { announce } from "./dom.js";
import { LINE, OPEN, title } from "./deposit-words.js";
import { state } from "./state.js";

const ASK_AGAIN_MS = 4000;
const KEPT_MS = 24 * 3600000;

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

export function forget(hash) {
  write(read().filter((one) => one.hash !== hash));
  collect();
}

/** Keep the server's last word on one. */
export const keep = (tx, view) => write(read().map((one) => (one.hash === tx ? { ...one, view } : one)));

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
    if (view) keep(one.tx_hash, view);
  }
  collect();
  announce([...state.sent, ...state.deposits].slice(0, 1).map(title).join(""));
}

/** Ask the server; what it refuses is a state as well. */
export async function look(hash) {
  try {
    return await post("deposits", { tx_hash: hash });
  } catch (error) {
    if (error.status >= 500 || !LINE[error.code]) throw error;
    return { state: error.code, message: error.message };
  }
}

export const pending = () => [...state.sent, ...state.deposits].some((one) => OPEN.has(one.state));
