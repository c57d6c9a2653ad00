// One payment, step by step: a quote that holds the price, the wallet's chain, what it holds, and the wallet's own
// question. `state.sending` is where it stands; `review.js` draws it before the wallet opens and while it asks.
import { post } from "./api.js";
import { $, announce, tokens, toast } from "./dom.js";
import { amountFor, symbol, worth } from "./money.js";
import { ensureChain, lacking, transfer } from "./transfer.js";
import { doing, draw } from "./page.js";
import { remember } from "./sent.js";
import { state } from "./state.js";

export const STEPS = {
  quote: "Asking for a price that holds…",
  chain: "Looking at your wallet's chain…",
  funds: "Looking at what your wallet holds…",
  wallet: "Confirm it in your wallet.",
};
// Less than shown by more than this, and the wallet does not open by itself.
const SURPRISE = 0.995;
const used = new Set(JSON.parse(sessionStorage.getItem("axonos.quotes-used") || "[]"));

/** What a click asks the server for: the minimum, GPU-hours, or an exact amount. */
const asked = (wish) => (wish.hours ? { gpu_hours: wish.hours } : { amount: wish.amount === undefined ? "min" : wish.amount.toString() });

/** What the page said the click would send. */
export const amountOf = (row, wish) => (wish.hours ? amountFor(row, wish.hours) : wish.amount ?? BigInt(row.minimum));

export const chainOf = (row) => state.config.chains.find((chain) => chain.id === row.chain_id);

function step(name) {
  state.sending.step = name;
  announce(STEPS[name] || "");
  draw();
  if (document.activeElement === document.body) $("#review")?.focus({ preventScroll: true });
}

/** Pay: a wish of the row; nothing leaves before the page has shown what, where to, on which chain, and for what. */
export function send(row, wish = {}) {
  state.problem = null;
  let back = false;
  return doing(`send:${row.rail}`, async () => {
    state.sending = { row, step: "quote", quote: null, shown: worth(row, amountOf(row, wish)) };
    try {
      await pay(row, wish);
    } catch (error) {
      state.problem = { rail: row.rail, text: error.message };
      throw error;
    } finally {
      back = $("#review")?.contains(document.activeElement);
      state.sending = null;
    }
  }).then(() => { if (back) $(`#send-${row.rail}`)?.focus({ preventScroll: true }); });
}

async function pay(row, wish) {
  step("quote");
  const quote = await held(row, wish);
  state.sending.quote = quote;
  if (quote.why && !(await agreed())) return;
  const amount = BigInt(quote.amount);
  step("chain");
  await ensureChain(chainOf(row));
  step("funds");
  const missing = await lacking(row, amount);
  if (missing) throw new Error(missing);
  step("wallet");
  // Who stops waiting may still say yes in the wallet: what it sends then is looked after all the same.
  const sent = transfer(chainOf(row), row, amount).then((hash) => landed(row, quote, hash));
  await Promise.race([sent, stopped()]);
}

function landed(row, quote, hash) {
  if (quote.id) keepUsed(quote.id);
  remember(hash, row.rail);
  toast("Sent. It is credited by itself; you can leave this page.");
}

const stopped = () => new Promise((resolve) => { state.sending.answer = resolve; });

/** The server's quote, with `why` where the buyer has to say yes first; where none is to be had, the day's rate. */
async function held(row, wish) {
  try {
    const quote = await post("quotes", { rail: row.rail, ...asked(wish) });
    if (used.has(quote.id)) return unheld(row, BigInt(quote.amount), "The price held for this amount is for the deposit you have just sent.");
    const less = state.sending.shown !== null && quote.gpu_ms < state.sending.shown * SURPRISE;
    return { ...quote, why: less ? "The price has moved since it was shown here. This is what it buys now." : "" };
  } catch (error) {
    if (error.code !== "too_many_quotes") throw error;
    return unheld(row, amountOf(row, wish), error.message);
  }
}

const unheld = (row, amount, why) => ({
  id: null, amount: amount.toString(), amount_text: `${tokens(amount, row.decimals)} ${symbol(row.rail)}`, gpu_ms: worth(row, amount), expires_at_ms: null,
  why: `${why} Without it, the price at your deposit's own block counts.`,
});

/** Waits for the buyer's yes or no to what the review shows. */
function agreed() {
  step("agree");
  announce(state.sending.quote.why);
  return new Promise((resolve) => { state.sending.answer = resolve; });
}

function keepUsed(id) {
  used.add(id);
  sessionStorage.setItem("axonos.quotes-used", JSON.stringify([...used].slice(-50)));
}
