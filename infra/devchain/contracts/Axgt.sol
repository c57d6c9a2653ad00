// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";

/// The AXGT token of the local chain: 18 decimals. The minter may set a fee on transfers, which goes to it, and which
/// the log names (`Transfer` of what arrives) or hides (`Transfer` of what was sent); and may change a balance without
/// any log, as tokens that rebase do.
contract Axgt is Token {
    string public constant symbol = "AXGT";
    uint8 public constant decimals = 18;
    uint256 public feeBps;
    bool public hidesFee;

    function init(string calldata name_, address minter_) external {
        _name(name_, minter_);
    }

    function setFee(uint256 bps, bool hidden) external {
        require(msg.sender == minter, "Token: caller is not the minter");
        (feeBps, hidesFee) = (bps, hidden);
    }

    function rebase(address holder, uint256 balance) external {
        require(msg.sender == minter, "Token: caller is not the minter");
        totalSupply = totalSupply - balanceOf[holder] + balance;
        balanceOf[holder] = balance;
    }

    function _transfer(address from, address to, uint256 value) internal override {
        uint256 fee = value * feeBps / 10_000;
        if (fee > 0 && hidesFee) {
            super._transfer(from, to, value);
            balanceOf[to] -= fee;
            balanceOf[minter] += fee;
            return;
        }
        if (fee > 0) super._transfer(from, minter, fee);
        super._transfer(from, to, value - fee);
    }
}
