// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Claims to be USDC and logs transfers that never happened. Anyone may call it.
contract FakeToken {
    event Transfer(address indexed from, address indexed to, uint256 value);

    string public constant name = "USD Coin";
    string public constant symbol = "USDC";
    uint8 public constant decimals = 6;

    function pretend(address from, address to, uint256 value) external {
        emit Transfer(from, to, value);
    }
}
