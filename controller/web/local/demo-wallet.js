// Local mode only: a wallet whose key is made in this browser and holds play money from the faucet.
// It announces itself like any other wallet (EIP-6963), and reaches the local chain through the site alone.
import { Wallet, getBytes, toUtf8String } from "/vendor/ethers.js";

const KEY = "axonos.demo-wallet";
const ENOUGH = 10n ** 17n;

function wallet() {
  let key = localStorage.getItem(KEY);
  if (!key) {
    key = Wallet.createRandom().privateKey;
    localStorage.setItem(KEY, key);
  }
  return new Wallet(key);
}

async function send(path, body) {
  const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
  return answer;
}

async function rpc(method, params = []) {
  const call = { jsonrpc: "2.0", id: 1, method, params };
  try {
    return (await send("/local/rpc", call)).result;
  } catch (error) {
    // A lost answer may be asked for again, unless the question was a payment.
    if (!(error instanceof TypeError) || method === "eth_sendRawTransaction") throw error;
    return (await send("/local/rpc", call)).result;
  }
}

async function fill(address) {
  if (BigInt(await rpc("eth_getBalance", [address, "latest"])) >= ENOUGH) return;
  await send("/local/faucet", { address });
  for (let tries = 0; tries < 40; tries += 1) {
    if (BigInt(await rpc("eth_getBalance", [address, "latest"])) > 0n) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error("The faucet's play money has not arrived yet. Try again in a moment.");
}

// Whoever asks what this wallet has of a token is about to pay with it: an empty purse is filled by the faucet,
// which has the platform's two. Where it does not, the wallet simply has none.
async function fillTokens(address, call, block = "latest") {
  if (call?.data?.toLowerCase() !== `0x70a08231${address.slice(2).toLowerCase().padStart(64, "0")}`) return;
  const empty = async () => BigInt((await rpc("eth_call", [call, block])) || "0x0") === 0n;
  if (!(await empty()) || !(await send("/local/faucet", { address, token: call.to }).catch(() => null))) return;
  for (let tries = 0; tries < 40 && (await empty()); tries += 1) await new Promise((resolve) => setTimeout(resolve, 250));
}

async function sendTransaction({ to, value, data }) {
  const signer = wallet();
  const [chainId, nonce, gasPrice] = await Promise.all([rpc("eth_chainId"), rpc("eth_getTransactionCount", [signer.address, "pending"]), rpc("eth_gasPrice")]);
  const gas = await rpc("eth_estimateGas", [{ from: signer.address, to, value: value || "0x0", data: data || "0x" }]);
  const transaction = { type: 0, to, value: value || "0x0", data: data || "0x", chainId: Number(chainId), nonce: Number(nonce), gasPrice: BigInt(gasPrice) * 2n, gasLimit: (BigInt(gas) * 12n) / 10n };
  return rpc("eth_sendRawTransaction", [await signer.signTransaction(transaction)]);
}

async function request({ method, params = [] }) {
  const { address } = wallet();
  switch (method) {
    case "eth_requestAccounts":
      await fill(address);
      return [address];
    case "eth_accounts":
      return [address];
    case "personal_sign":
      return wallet().signMessage(toUtf8String(getBytes(params[0])));
    case "eth_sendTransaction":
      await fill(address);
      return sendTransaction(params[0]);
    case "eth_call":
      await fillTokens(address, ...params);
      return rpc(method, params);
    case "wallet_switchEthereumChain":
      if (BigInt(params[0].chainId) === BigInt(await rpc("eth_chainId"))) return null;
      throw Object.assign(new Error("The demo wallet knows the local chain only."), { code: 4902 });
    default:
      return rpc(method, params);
  }
}

const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><rect width="28" height="28" rx="7" fill="#f2c46d"/><path d="M7 10.5h14v9H7zM7 10.5l9-3.5 2 3.5M17 15h4" fill="none" stroke="#241a04" stroke-width="1.8" stroke-linejoin="round"/></svg>';
const provider = { request, on() {}, removeListener() {} };
const info = Object.freeze({ uuid: crypto.randomUUID(), name: "Demo wallet", icon: `data:image/svg+xml,${encodeURIComponent(svg)}`, rdns: "org.axonos.demo" });
const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
addEventListener("eip6963:requestProvider", announce);
announce();
