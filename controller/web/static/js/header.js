// The frame of every page: sign out, here or everywhere, and times in the reader's own zone.
import { get, post, whoAmI } from "./api.js";
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

// What must not be missed: files that were put away, or will be.
async function watchHome() {
  if (!(await whoAmI())) return;
  const { home } = await get("home");
  const said = home?.state === "pruned" ? "Your files were put away for storage debt. Top up, and they come back."
    : home?.warned_at_ms ? `Your balance lasts ${home.days_left} more day${home.days_left === 1 ? "" : "s"} for storage; then your files are put away.` : "";
  if (!said) return;
  const link = document.createElement("a");
  link.href = "/files";
  link.textContent = `${said} See Files.`;
  const ribbon = document.createElement("p");
  ribbon.className = "ribbon";
  ribbon.id = "home-warning";
  ribbon.setAttribute("role", "alert");
  ribbon.append(link);
  document.querySelector("header.top").before(ribbon);
  const once = `axonos.home-warning.${home.warned_at_ms}.${home.state}`;
  if (globalThis.Notification?.permission === "granted" && !localStorage.getItem(once)) {
    localStorage.setItem(once, "told");
    new Notification("AxonOS: your files", { body: said });
  }
}
watchHome().catch(() => {});
