// What is about to be sent, drawn before the wallet opens: how much, where to, on which chain, what it buys,
// until when that holds, and how long the balance will last then.
import { h, duration } from "./dom.js";
import { minutesText, symbol } from "./money.js";
import { chainOf, STEPS } from "./sending.js";
import { until } from "./ticking.js";
import { limitMs, now, state } from "./state.js";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

/** The review of `state.sending`. */
export function review() {
  const { row, quote, step } = state.sending;
  if (!quote) return h("div", { class: "review", id: "review", tabindex: "-1" }, waiting(step));
  const chain = chainOf(row);
  return h("div", { class: "review", id: "review", tabindex: "-1", "data-step": step },
    h("dl", {},
      fact("You send", h("strong", { class: "num" }, quote.amount_text)),
      fact("To", address(chain.revenue_wallet)),
      row.contract ? fact("By its contract", address(row.contract)) : null,
      fact("On", `${chain.name}, chain ${chain.id}`),
      fact("You get", gets(quote)),
      quote.id ? fact("Price held", `until ${time.format(quote.expires_at_ms)}, `, until(quote.expires_at_ms)) : null,
      quote.gpu_ms === null ? null : fact("Then", lasts(quote.gpu_ms))),
    step === "agree" ? agree(quote) : waiting(step));
}

const answer = (yes) => () => state.sending?.answer?.(yes);

const waiting = (step) => h("p", { class: "step" }, h("span", { class: "pulse small", "aria-hidden": "true" }), STEPS[step] || "",
  step === "wallet" ? h("button", { type: "button", class: "link", id: "send-stop", onclick: answer(false) }, "Stop waiting") : null);

/** All of an address, on any width. */
const address = (text) => h("span", { class: "mono address" }, text);

const gets = (quote) => (quote.gpu_ms === null ? "what its block's price says" : [h("b", {}, `${quote.id ? "" : "about "}${minutesText(quote.gpu_ms)} minutes`), bonus(quote)]);

const bonus = (quote) => (quote.bonus_bps ? `, ${quote.bonus_bps / 100} % bonus in it` : quote.discount_bps ? `, ${quote.discount_bps / 100} % holder discount in it` : "");

function lasts(gpuMs) {
  const profile = state.profiles.find((one) => one.name === state.profile) || state.profiles[0];
  if (!profile) return "";
  const limit = limitMs();
  if (limit !== null && now() + (state.me.balance.gpu_ms + gpuMs) / state.session.burn_rate > limit) return `promised GPUs: this session until ${time.format(limit)} at most; the rest stays your credit`;
  return `your balance lasts ${duration((state.me.balance.available_gpu_ms + gpuMs) / profile.gpus)} on ${profile.title}`;
}

function agree(quote) {
  const { row } = state.sending;
  return [h("p", { class: "warn" }, quote.why),
    h("p", { class: "actions" },
      h("button", { type: "button", class: "button", id: "send-anyway", onclick: answer(true) }, `Send ${symbol(row.rail)}`),
      h("button", { type: "button", class: "button quiet", id: "send-not", onclick: answer(false) }, "Not now"))];
}
