// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SmartWallet} from "./SmartWallet.sol";

/// Makes contract wallets at addresses known beforehand, so that one can sign before it exists (EIP-6492).
contract WalletFactory {
    event Created(address indexed owner, address wallet);

    function create(address owner, bytes32 salt) external payable returns (address wallet) {
        wallet = addressOf(owner, salt);
        if (wallet.code.length == 0) {
            new SmartWallet{salt: salt, value: msg.value}(owner);
            emit Created(owner, wallet);
        }
    }

    function addressOf(address owner, bytes32 salt) public view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(SmartWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code)))));
    }
}
