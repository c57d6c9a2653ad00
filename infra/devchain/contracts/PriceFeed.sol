// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A Chainlink-style feed whose latest answer is as fresh as the block it is read at, so that a deposit made after hours
/// of simulated time is not refused for an old price. `getRoundData` tells when a round was really set. `setRound` makes
/// a feed that is late or incomplete.
contract PriceFeed {
    struct Round {
        int256 answer;
        uint256 updatedAt; // 0: the time of the block that reads it
        uint80 answeredInRound; // 0: the round itself
        uint256 setAt;
    }

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    uint8 public constant decimals = 8;
    uint256 public constant version = 4;
    string public description;
    address public owner;
    uint80 private latest;
    mapping(uint80 => Round) private rounds;

    function init(string calldata description_, int256 answer, address owner_) external {
        require(owner == address(0), "PriceFeed: already initialized");
        description = description_;
        owner = owner_;
        _set(answer, 0, 0);
    }

    function setAnswer(int256 answer) external {
        require(msg.sender == owner, "PriceFeed: caller is not the owner");
        _set(answer, 0, 0);
    }

    function setRound(int256 answer, uint256 updatedAt, uint80 answeredInRound) external {
        require(msg.sender == owner, "PriceFeed: caller is not the owner");
        _set(answer, updatedAt, answeredInRound);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        Round storage round = rounds[latest];
        return _data(latest, round.updatedAt == 0 ? block.timestamp : round.updatedAt);
    }

    function getRoundData(uint80 roundId) external view returns (uint80, int256, uint256, uint256, uint80) {
        require(roundId != 0 && roundId <= latest, "No data present");
        Round storage round = rounds[roundId];
        return _data(roundId, round.updatedAt == 0 ? round.setAt : round.updatedAt);
    }

    function _data(uint80 roundId, uint256 updatedAt) private view returns (uint80, int256, uint256, uint256, uint80) {
        Round storage round = rounds[roundId];
        uint80 answeredIn = round.answeredInRound == 0 ? roundId : round.answeredInRound;
        return (roundId, round.answer, updatedAt, updatedAt, answeredIn);
    }

    function _set(int256 answer, uint256 updatedAt, uint80 answeredInRound) private {
        latest += 1;
        rounds[latest] = Round(answer, updatedAt, answeredInRound, block.timestamp);
        emit AnswerUpdated(answer, latest, block.timestamp);
    }
}
