// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// Pays in the ways that a plain transfer does not: through a contract, several at once, inside a call that is
/// undone, by self-destruct. Each is a case that a deposit watcher must get right.
contract Forwarder {
    receive() external payable {}

    function forward(address payable to) external payable {
        _pay(to, msg.value);
    }

    function batch(address payable[] calldata to, uint256[] calldata values) external payable {
        require(to.length == values.length, "Forwarder: lengths differ");
        for (uint256 i = 0; i < to.length; i++) {
            _pay(to[i], values[i]);
        }
    }

    /// ETH and a token in one transaction; the token amount must already be here.
    function both(address payable to, address token, uint256 value) external payable {
        _pay(to, msg.value);
        require(IToken(token).transfer(to, value), "Forwarder: token refused");
    }

    function tokens(address token, address[] calldata to, uint256[] calldata values) external {
        require(to.length == values.length, "Forwarder: lengths differ");
        for (uint256 i = 0; i < to.length; i++) {
            require(IToken(token).transfer(to[i], values[i]), "Forwarder: token refused");
        }
    }

    /// The innermost payment succeeds, the frame around it reverts, the transaction succeeds: nothing is paid.
    function swallow(address payable to) external payable {
        (bool ok,) = address(this).call{value: msg.value}(abi.encodeCall(this.payThenRevert, (to)));
        require(!ok, "Forwarder: the frame should have reverted");
    }

    function payThenRevert(address payable to) external payable {
        _pay(to, msg.value);
        revert("Forwarder: undone");
    }

    /// A payment that fails in its own frame (there is not so much here); the transaction goes on and succeeds.
    function overspend(address payable to) external payable {
        (bool ok,) = to.call{value: address(this).balance + 1}("");
        require(!ok, "Forwarder: that should have failed");
    }

    /// The first and the last payment count, the one between them is undone: of 4 parts 1 + 2 arrive.
    function mixed(address payable to) external payable {
        uint256 part = msg.value / 4;
        _pay(to, part);
        (bool ok,) = address(this).call{value: part}(abi.encodeCall(this.payThenRevert, (to)));
        require(!ok, "Forwarder: the frame should have reverted");
        _pay(to, 2 * part);
    }

    /// Leaves all to `to` by self-destruct, inside a frame that is undone, and then once more for good.
    function bequeathTwice(address payable to) external payable {
        try this.bequeathThenRevert{value: msg.value}(to) {
            revert("Forwarder: the frame should have reverted");
        } catch {
            new Bequest{value: msg.value}(to);
        }
    }

    function bequeathThenRevert(address payable to) external payable {
        new Bequest{value: msg.value}(to);
        revert("Forwarder: undone");
    }

    /// Calls that carry a value in their trace and move none to `to`; the value stays here.
    function noise(address payable to) external payable {
        uint256 value = msg.value;
        bool ok;
        (ok,) = to.delegatecall("");
        (ok,) = to.staticcall("");
        assembly {
            ok := callcode(gas(), to, value, 0, 0, 0, 0)
        }
    }

    /// Pays from `depth` frames below this one.
    function deep(address payable to, uint256 depth) external payable {
        if (depth == 0) {
            _pay(to, msg.value);
        } else {
            this.deep{value: msg.value}(to, depth - 1);
        }
    }

    /// A token pulled from `from`, who has allowed it: the payer is `from`, not the sender.
    function pull(address token, address from, address to, uint256 value) external {
        require(IToken(token).transferFrom(from, to, value), "Forwarder: token refused");
    }

    function fail() external payable {
        revert("Forwarder: always fails");
    }

    function bequeath(address payable to) external payable {
        new Bequest{value: msg.value}(to);
    }

    function _pay(address payable to, uint256 value) private {
        (bool ok,) = to.call{value: value}("");
        require(ok, "Forwarder: payment refused");
    }
}

/// Leaves its value to `to` without calling it.
contract Bequest {
    constructor(address payable to) payable {
        selfdestruct(to);
    }
}
