// Sending: the wallet on the right chain, enough in it, and a transaction for exactly the amount that was shown.
// Nothing is sent before block 0, read through the wallet, is the block 0 the server knows.
import { current, request, WalletError } from "./wallet.js";
import { tokens } from "./dom.js";
import { symbol } from "./money.js";

const TRANSFER = "0xa9059cbb";
const BALANCE_OF = "0x70a08231";
const ETHER = { name: "Ether", symbol: "ETH", decimals: 18 };
const GAS = { eth: 21000n, token: 90000n };

const ask = (method, params = []) => request(current().provider, method, params);
const hex = (value) => `0x${BigInt(value).toString(16)}`;
const word = (value) => BigInt(value).toString(16).padStart(64, "0");

/** Bring the wallet to the rail's chain, and make sure it is that very chain. */
export async function ensureChain(chain) {
  const there = async () => BigInt(await ask("eth_chainId")) === BigInt(chain.id);
  if (!(await there())) await switchChain(chain);
  if (!(await there())) throw new WalletError(`Switch your wallet to ${chain.name} and try again.`);
  const genesis = await ask("eth_getBlockByNumber", ["0x0", false]);
  if (genesis?.hash?.toLowerCase() !== chain.genesis_hash.toLowerCase()) {
    throw new WalletError(`Stopped before sending: your wallet is on another chain that also has the number ${chain.id}. Money sent there would not arrive here.`);
  }
}

async function switchChain(chain) {
  const chainId = hex(chain.id);
  try {
    await ask("wallet_switchEthereumChain", [{ chainId }]);
  } catch (error) {
    if (error.code !== 4902) throw error;
    if (!chain.rpc_url) throw new WalletError(`Your wallet does not know ${chain.name} (chain ${chain.id}). Add it there, then try again.`);
    await ask("wallet_addEthereumChain", [{ chainId, chainName: chain.name, rpcUrls: [chain.rpc_url], nativeCurrency: ETHER }]);
    if (BigInt(await ask("eth_chainId")) !== BigInt(chain.id)) await ask("wallet_switchEthereumChain", [{ chainId }]);
  }
}

/** What the wallet lacks for sending an amount, as a sentence; empty if nothing, or if the wallet does not tell. */
export async function lacking(row, amount) {
  try {
    const { address } = current();
    const [ether, gasPrice] = await Promise.all([ask("eth_getBalance", [address, "latest"]), ask("eth_gasPrice")]);
    const fee = BigInt(gasPrice) * (row.contract ? GAS.token : GAS.eth);
    if (!row.contract) return short("ETH", BigInt(ether), amount + fee, 18, " with the network's fee");
    const held = await ask("eth_call", [{ to: row.contract, data: BALANCE_OF + word(address) }, "latest"]);
    return short(symbol(row.rail), BigInt(held), amount, row.decimals, "") || short("ETH", BigInt(ether), fee, 18, " for the network's fee");
  } catch {
    return "";
  }
}

function short(name, held, needed, decimals, what) {
  return held >= needed ? "" : `Not enough ${name}: this takes ${tokens(needed, decimals)}${what}, your wallet holds ${tokens(held, decimals)}. Nothing was sent.`;
}

/** Pay exactly `amount` of the rail's smallest unit to the chain's revenue wallet; resolves to the transaction hash. */
export function transfer(chain, row, amount) {
  const from = current().address;
  const transaction = row.contract
    ? { from, to: row.contract, data: TRANSFER + word(chain.revenue_wallet) + word(amount) }
    : { from, to: chain.revenue_wallet, value: hex(amount) };
  return ask("eth_sendTransaction", [transaction]);
}
