// Small things every script uses: building elements, saying things, asking, and writing amounts.
import { hear } from "./drawing.js";

export const $ = (selector, within = document) => within.querySelector(selector);

/** Build an element: attributes, `on...` listeners, children. Text is always text, never markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) hear(element, name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Tell those who listen instead of looking; the page's one quiet line for it. */
export function announce(text) {
  const line = $("#announce");
  if (line && line.textContent !== text) line.textContent = text;
}

export function toast(message, kind = "") {
  const note = h("p", { class: `toast ${kind}` }, message);
  $("#toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 9000 : 6000);
}

/** Ask before something that cannot be taken back; resolves to true or false. */
export function ask(title, text, yes) {
  const dialog = $("#ask");
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const shortAddress = (address) => `${address.slice(0, 6)}…${address.slice(-4)}`;

const whole = new Intl.NumberFormat("en");

/** GPU-milliseconds as whole minutes of one GPU, cut towards zero: credit is never shown too high. */
export const minutes = (gpuMs) => whole.format(Math.trunc(gpuMs / 60000));

/** A length of time for people: 45 s, 12 min, 2 h 05 min. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const total = Math.floor(seconds / 60);
  if (total < 60) return `${total} min`;
  const hours = Math.floor(total / 60);
  return hours < 100 ? `${hours} h ${String(total % 60).padStart(2, "0")} min` : `${whole.format(hours)} h`;
}

/** Weekday, hour and minute in the reader's own zone and words. */
export const at = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map((n) => String(n).padStart(2, "0")).join(":");
}

/** A token amount from its smallest unit, exactly, without trailing zeros. */
export function tokens(amount, decimals) {
  const digits = BigInt(amount).toString().padStart(decimals + 1, "0");
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return digits.slice(0, digits.length - decimals) + (fraction ? `.${fraction}` : "");
}
