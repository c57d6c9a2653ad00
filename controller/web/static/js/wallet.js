// The wallet in the browser: discovery (EIP-6963), requests (EIP-1193), the right chain, and sending.
// Nothing is sent before block 0, read through the wallet, is the block 0 the server knows.

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

async function request(provider, method, params = []) {
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

/** Bring the wallet to the site's chain, and make sure it is that very chain. */
export async function ensureChain(chain) {
  const wanted = `0x${chain.id.toString(16)}`;
  if (BigInt(await request(chosen.provider, "eth_chainId")) !== BigInt(chain.id)) await switchChain(chain, wanted);
  if (BigInt(await request(chosen.provider, "eth_chainId")) !== BigInt(chain.id)) throw new WalletError(`Switch your wallet to ${chain.name} and try again.`);
  const genesis = await request(chosen.provider, "eth_getBlockByNumber", ["0x0", false]);
  if (genesis?.hash?.toLowerCase() !== chain.genesis_hash.toLowerCase()) {
    throw new WalletError(`Stopped before sending: your wallet is on another chain that also has the number ${chain.id}. Money sent there would not arrive here.`);
  }
}

async function switchChain(chain, chainId) {
  try {
    await request(chosen.provider, "wallet_switchEthereumChain", [{ chainId }]);
  } catch (error) {
    if (error.code !== 4902) throw error;
    if (!chain.rpc_url) throw new WalletError(`Your wallet does not know ${chain.name} (chain ${chain.id}). Add it there, then try again.`);
    const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
    await request(chosen.provider, "wallet_addEthereumChain", [{ chainId, chainName: chain.name, rpcUrls: [chain.rpc_url], nativeCurrency }]);
  }
}

/** Pay exactly `amount` of a rail's smallest unit to the revenue wallet; resolves to the transaction hash. */
export async function pay(chain, row) {
  await ensureChain(chain);
  const hex = (value) => `0x${BigInt(value).toString(16)}`;
  const word = (value) => BigInt(value).toString(16).padStart(64, "0");
  const transaction = row.contract
    ? { from: chosen.address, to: row.contract, data: `0xa9059cbb${word(chain.revenue_wallet)}${word(row.minimum)}` }
    : { from: chosen.address, to: chain.revenue_wallet, value: hex(row.minimum) };
  return request(chosen.provider, "eth_sendTransaction", [transaction]);
}
