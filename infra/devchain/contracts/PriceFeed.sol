// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A Chainlink-style feed whose answer is always as fresh as the block it is read at, so that a deposit made
/// after hours of simulated time is not refused for an old price.
contract PriceFeed {
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    uint8 public constant decimals = 8;
    uint256 public constant version = 4;
    string public description;
    address public owner;
    uint80 private latest;
    mapping(uint80 => int256) private answers;

    function init(string calldata description_, int256 answer, address owner_) external {
        require(owner == address(0), "PriceFeed: already initialized");
        description = description_;
        owner = owner_;
        _set(answer);
    }

    function setAnswer(int256 answer) external {
        require(msg.sender == owner, "PriceFeed: caller is not the owner");
        _set(answer);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(latest);
    }

    function getRoundData(uint80 roundId)
        public
        view
        returns (uint80, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        require(roundId != 0 && roundId <= latest, "No data present");
        return (roundId, answers[roundId], block.timestamp, block.timestamp, roundId);
    }

    function _set(int256 answer) private {
        latest += 1;
        answers[latest] = answer;
        emit AnswerUpdated(answer, latest, block.timestamp);
    }
}
