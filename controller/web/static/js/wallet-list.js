// The wallets of this browser, to choose one from.
import { h } from "./dom.js";
import { state } from "./state.js";

export function walletList(list, onChoose) {
  return h("ul", { class: "wallet-list" }, list.map((wallet) => h("li", {},
    h("button", { type: "button", id: `wallet-${wallet.id}`, disabled: Boolean(state.busy), onclick: () => onChoose(wallet) },
      wallet.icon ? h("img", { src: wallet.icon, alt: "" }) : null, wallet.name,
      h("small", {}, state.busy === `sign-in:${wallet.id}` ? "waiting…" : wallet.id === "org.axonos.demo" ? "play money" : "")))));
}
