// The frame of every page: sign out, here or everywhere, and times in the reader's own zone.
import { post, whoAmI } from "./api.js";
import { $, shortAddress, toast } from "./dom.js";

export function showSignedIn(wallet) {
  for (const element of document.querySelectorAll('[data-when="in"]')) element.hidden = !wallet;
  if (wallet && $("[data-address]")) $("[data-address]").textContent = shortAddress(wallet);
}

export const signOut = () => leave({});

async function leave(body) {
  try {
    if (await whoAmI()) await post("sign-out", body);
    location.assign("/launch");
  } catch (error) {
    toast(error.message, "bad");
  }
}

$("[data-sign-out]")?.addEventListener("click", signOut);
$("[data-sign-out-everywhere]")?.addEventListener("click", () => leave({ everywhere: true }));
const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
for (const time of document.querySelectorAll("time[data-ms]")) {
  time.dateTime = new Date(Number(time.dataset.ms)).toISOString();
  time.textContent = zoned.format(Number(time.dataset.ms));
}
