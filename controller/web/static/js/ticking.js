// Texts that change by themselves, once a second: how long until, how long since. They are rewritten where they
// stand, so that nothing else of the page is drawn anew while somebody types.
import { h, clock, duration } from "./dom.js";

const OVER = "ran out; your deposit's own block sets the price";
let now = () => Date.now();

const words = {
  until: (ms) => (ms <= now() ? OVER : `${short(ms - now())} left`),
  since: (ms) => `${duration(now() - ms)} ago`,
  ends: (ms) => clock(ms - now()),
};

const short = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;

/** A countdown in minutes and seconds to the end of a quote. */
export const until = (ms) => h("span", { class: "num", "data-until": ms }, words.until(ms));

/** How long ago something was. */
export const since = (ms) => h("span", { "data-since": ms }, words.since(ms));

/** Hours, minutes and seconds to the end of a session. */
export const ends = (ms) => h("span", { class: "num", "data-ends": ms }, words.ends(ms));

export function startTicking(time) {
  now = time;
  setInterval(() => {
    for (const kind of ["until", "since", "ends"]) {
      for (const element of document.querySelectorAll(`[data-${kind}]`)) {
        const text = words[kind](Number(element.dataset[kind]));
        if (element.textContent !== text) element.textContent = text;
        if (kind === "until") element.classList.toggle("over", text === OVER);
      }
    }
  }, 1000);
}
