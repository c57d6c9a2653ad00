// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What a price reader asks of a Uniswap v3 pool: `slot0`, `observe`, `liquidity`. Nothing is traded here: the owner
/// sets the price, which holds until it is set again. The first observation is a day old, so that a time-weighted
/// price can be had at once.
contract PricePool {
    struct Observation {
        uint256 time;
        int56 cumulative;
        int24 tick;
    }

    uint256 private constant PAST_S = 1 days;

    address public token0;
    address public token1;
    address public owner;
    uint128 public liquidity;
    uint160 private sqrtPriceX96;
    Observation[] private observations;

    function init(address token0_, address token1_, int24 tick, uint160 sqrtPriceX96_, uint128 liquidity_, address owner_)
        external
    {
        require(owner == address(0), "PricePool: already initialized");
        (token0, token1, owner) = (token0_, token1_, owner_);
        (sqrtPriceX96, liquidity) = (sqrtPriceX96_, liquidity_);
        observations.push(Observation(block.timestamp > PAST_S ? block.timestamp - PAST_S : 0, 0, tick));
    }

    function setPrice(int24 tick, uint160 sqrtPriceX96_) external {
        require(msg.sender == owner, "PricePool: caller is not the owner");
        observations.push(Observation(block.timestamp, _cumulative(block.timestamp), tick));
        sqrtPriceX96 = sqrtPriceX96_;
    }

    function setLiquidity(uint128 liquidity_) external {
        require(msg.sender == owner, "PricePool: caller is not the owner");
        liquidity = liquidity_;
    }

    /// Leaves only the newest observation, as in a pool that keeps one: an older price cannot be asked for.
    function forget() external {
        require(msg.sender == owner, "PricePool: caller is not the owner");
        Observation memory last = observations[observations.length - 1];
        delete observations;
        observations.push(Observation(block.timestamp, 0, last.tick));
    }

    function slot0() external view returns (uint160, int24, uint16, uint16, uint16, uint8, bool) {
        return (sqrtPriceX96, observations[observations.length - 1].tick, 0, 1, 1, 0, true);
    }

    function observe(uint32[] calldata secondsAgos)
        external
        view
        returns (int56[] memory tickCumulatives, uint160[] memory secondsPerLiquidityCumulativeX128s)
    {
        tickCumulatives = new int56[](secondsAgos.length);
        secondsPerLiquidityCumulativeX128s = new uint160[](secondsAgos.length);
        for (uint256 i = 0; i < secondsAgos.length; i++) {
            tickCumulatives[i] = _cumulative(block.timestamp - secondsAgos[i]);
        }
    }

    function _cumulative(uint256 time) private view returns (int56) {
        for (uint256 i = observations.length; i > 0; i--) {
            Observation storage past = observations[i - 1];
            if (past.time <= time) return past.cumulative + int56(past.tick) * int56(uint56(time - past.time));
        }
        revert("OLD");
    }
}
