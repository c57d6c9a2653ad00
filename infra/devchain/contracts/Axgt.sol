// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";

/// The AXGT token of the local chain: 18 decimals.
contract Axgt is Token {
    string public constant symbol = "AXGT";
    uint8 public constant decimals = 18;

    function init(string calldata name_, address minter_) external {
        _name(name_, minter_);
    }
}
