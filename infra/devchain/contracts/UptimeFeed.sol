// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// An L2's sequencer-uptime feed in Chainlink's form: answer 0 is up, 1 is down; `startedAt` is when that began.
contract UptimeFeed {
    uint256 private constant PAST_S = 1 days;

    address public owner;
    uint80 private round;
    int256 private answer;
    uint256 private startedAt;

    function init(address owner_) external {
        require(owner == address(0), "UptimeFeed: already initialized");
        owner = owner_;
        (round, startedAt) = (1, block.timestamp > PAST_S ? block.timestamp - PAST_S : 1);
    }

    function setStatus(bool up) external {
        require(msg.sender == owner, "UptimeFeed: caller is not the owner");
        (round, answer, startedAt) = (round + 1, up ? int256(0) : int256(1), block.timestamp);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (round, answer, startedAt, startedAt, round);
    }
}
