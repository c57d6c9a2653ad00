// The wallet in the browser: discovery (EIP-6963), requests (EIP-1193), the account it shares, signing.

export class WalletError extends Error {}

const found = new Map();
const listeners = new Set();
let chosen = null;

addEventListener("eip6963:announceProvider", ({ detail }) => {
  if (!detail?.info?.uuid || !detail.provider) return;
  found.set(detail.info.rdns || detail.info.uuid, detail);
  listeners.forEach((listener) => listener());
});

/** Tell `listener` whenever a wallet announces itself. */
export function discover(listener) {
  listeners.add(listener);
  dispatchEvent(new Event("eip6963:requestProvider"));
}

/** All wallets of this browser; the old `window.ethereum` only where none announces itself. */
export function wallets() {
  const list = [...found.values()].map(({ info, provider }) => ({ id: info.rdns || info.uuid, name: String(info.name), icon: icon(info.icon), provider }));
  if (!list.length && window.ethereum) list.push({ id: "window.ethereum", name: "Browser wallet", icon: "", provider: window.ethereum });
  return list;
}

// Only images that need no request.
const icon = (url) => (typeof url === "string" && url.startsWith("data:image/") ? url : "");

export const current = () => chosen;
export const remembered = () => localStorage.getItem("axonos.wallet") || "";
export const lastChosen = () => wallets().find((wallet) => wallet.id === remembered()) || null;

export async function request(provider, method, params = []) {
  try {
    return await provider.request({ method, params });
  } catch (error) {
    if (error?.code === 4001) throw new WalletError("You declined in your wallet. Nothing happened.");
    if (error?.code === 4900 || error?.code === 4901) throw new WalletError("Your wallet is not connected to a network.");
    throw Object.assign(new WalletError(error?.message || "The wallet did not answer."), { code: error?.code });
  }
}

/** Ask a wallet for its account; `onChange` hears when the account changes later. */
export async function connect(wallet, onChange) {
  const accounts = await request(wallet.provider, "eth_requestAccounts");
  if (!accounts?.length) throw new WalletError("The wallet shared no account.");
  chosen = { ...wallet, address: accounts[0].toLowerCase() };
  localStorage.setItem("axonos.wallet", wallet.id);
  const { provider } = wallet;
  provider.on?.("accountsChanged", (list) => { if (provider === chosen?.provider && list[0]?.toLowerCase() !== chosen.address) onChange(); });
  return chosen;
}

/** Sign the server's text; the page never makes one. */
export function sign(message) {
  const bytes = [...new TextEncoder().encode(message)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return request(chosen.provider, "personal_sign", [`0x${bytes}`, chosen.address]);
}
