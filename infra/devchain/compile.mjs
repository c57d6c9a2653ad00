// Compiles contracts/*.sol into one JSON file per contract. Usage: node compile.mjs NODE_FOLDER OUTPUT_FOLDER
import { createRequire } from "node:module";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [nodeFolder, outputFolder] = process.argv.slice(2).map((path) => resolve(path));
const solc = createRequire(join(nodeFolder, "package.json"))("solc");
const folder = join(dirname(fileURLToPath(import.meta.url)), "contracts");
const sources = Object.fromEntries(
  readdirSync(folder)
    .filter((name) => name.endsWith(".sol"))
    .sort()
    .map((name) => [name, { content: readFileSync(join(folder, name), "utf8") }]),
);
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  // No metadata: the bytecode depends on the sources and the compiler alone.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};
const input = { language: "Solidity", sources, settings };
const find = (path) => ({ contents: sources[path.replace(/^\.\//, "")].content });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
// 5159: selfdestruct is deprecated; the watcher must meet it all the same.
const problems = (output.errors ?? []).filter((error) => error.errorCode !== "5159");
if (problems.length) {
  console.error(problems.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}

mkdirSync(outputFolder, { recursive: true });
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    if (!contract.evm.bytecode.object) continue;
    const artifact = {
      contract: name,
      compiler: solc.version(),
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployed_bytecode: `0x${contract.evm.deployedBytecode.object}`,
    };
    writeFileSync(join(outputFolder, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  }
}
