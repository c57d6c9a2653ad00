"""One node of a chain, asked over JSON-RPC: bounded in time and size, several questions at once where it can.

What it says is not judged here. No text that leaves this module holds the node's address: keys are inside.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

# These would write each node's whole address into the log.
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.WARNING)

CONNECT_S = 5
SILENCE_S = 10
ANSWER_S = 20
SLOW_S = 2
SLOW_FOR_S = 60
ANSWER_BYTES = 32 * 2**20
BATCH = 256
BATCH_AGAIN_S = 600
# How a node says that it does not take so many questions at once; others mean that it is in trouble.
_BATCH_REFUSED = {400, 404, 405, 413, 415, 422, 500, 501}
_RESTING_FIRST_S = 0.5
_RESTING_LONGEST_S = 60.0
# How geth, erigon, reth and anvil say that they no longer keep the state of an old block.
_FORGOTTEN = re.compile(
    r"missing trie node|historical state|prune|state .*not available|BlockOutOfRange", re.IGNORECASE
)
_NO_SUCH_BLOCK = re.compile(
    r"header (for hash )?not found|unknown block|block ?not ?found|resource not found", re.IGNORECASE
)
_NO_SUCH_METHOD = -32601

Call = tuple[str, list[Any]]


class NodeFailed(Exception):
    """A node gave no answer that could be used; the text says why."""


class TooMuch(NodeFailed):
    """The answer was longer, or took longer, than we wait for."""


class Unknown(Exception):
    """The node does not know this block: it lags, or stands on another branch, or made it up before."""


class Refusal(Exception):
    """The node answered a question with an error of its own."""

    def __init__(self, code: Any, message: str) -> None:
        super().__init__(message)
        self.reverted = code == 3 or "revert" in message.lower()
        self.forgotten = bool(_FORGOTTEN.search(message))
        self.no_such_block = bool(_NO_SUCH_BLOCK.search(message))
        self.no_such_method = (
            code == _NO_SUCH_METHOD or "not found/" in message or "method" in message.lower()
        )


class Node:
    """One endpoint, `place` in the list of the settings, with what we know of its health."""

    def __init__(
        self, place: int, url: str, http: httpx.Client, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self._url, self._http, self._monotonic = url, http, monotonic
        self._ids = itertools.count(1)
        self._batch, self._batch_again = BATCH, 0.0
        self._failures, self._rests_until, self._slow_until = 0, 0.0, 0.0
        self._secrets = _secrets(url)

    @property
    def rests_until(self) -> float:
        """When to ask it before others again, by the monotonic clock; in the past for a healthy node."""
        return self._rests_until

    @property
    def is_resting(self) -> bool:
        """Whether it failed so lately that others are asked first."""
        return self._monotonic() < self._rests_until

    @property
    def is_slow(self) -> bool:
        """Whether it took long to answer of late: as good as others, but asked after them."""
        return self._monotonic() < self._slow_until

    def failed(self, longest_s: float = _RESTING_LONGEST_S) -> None:
        """Let it rest, twice as long each time."""
        wait = min(_RESTING_FIRST_S * 2 ** min(self._failures, 10), longest_s)
        self._failures += 1
        self._rests_until = self._monotonic() + wait

    def worked(self) -> None:
        """It answers again."""
        self._failures, self._rests_until = 0, 0.0

    def ask(self, method: str, *params: Any) -> Any:
        """One question's result; None where the node knows nothing.

        Raises:
            Refusal: the node answered with an error.
            NodeFailed: it did not answer.
        """
        return self.asked([(method, list(params))])[0]

    def asked(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several questions, in their order; raises like `ask` for the first that has none."""
        answers = self.tried(calls)
        for answer in answers:
            if isinstance(answer, Refusal):
                raise answer
        return answers

    def tried(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several questions; a Refusal stands where one was answered with an error."""
        answers: list[Any] = []
        while len(answers) < len(calls):
            answers += self._some(calls[len(answers) :])
        return answers

    def _some(self, calls: Sequence[Call]) -> list[Any]:
        """Answers to as many of the questions as the node takes at once."""
        if self._monotonic() >= self._batch_again:
            self._batch = BATCH
        part = calls[: self._batch]
        while True:
            found = self._posted(part)
            if found is not None:
                return found
            self._batch = max(len(part) // 4, 1)
            self._batch_again = self._monotonic() + BATCH_AGAIN_S
            part = part[: self._batch]

    def _posted(self, calls: Sequence[Call]) -> list[Any] | None:
        """Answers in the order of the questions; None where the node does not take so many at once."""
        asked = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in calls
        ]
        single = len(asked) == 1
        status, body = self._sent(json.dumps(asked[0] if single else asked).encode())
        if not single and status in _BATCH_REFUSED:
            return None
        if status != httpx.codes.OK:
            raise NodeFailed(f"HTTP {status}")
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise NodeFailed("no JSON") from error
        if not single and (isinstance(said, dict) or _is_one_error(said)):
            return None
        return self._matched(asked, [said] if single else said)

    def _matched(self, asked: list[dict[str, Any]], said: Any) -> list[Any]:
        if not isinstance(said, list) or not all(isinstance(answer, dict) for answer in said):
            raise NodeFailed("no JSON-RPC")
        by_id = {answer["id"]: answer for answer in said if isinstance(answer.get("id"), int)}
        if len(said) == 1 and "error" in said[0] and not by_id:
            by_id = {asked[0]["id"]: said[0]}  # an error about a question it could not even read
        try:
            return [self._result(by_id[question["id"]]) for question in asked]
        except KeyError as error:
            raise NodeFailed("answers to other questions") from error

    def _result(self, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is None:
            return answer["result"]
        known = error if isinstance(error, dict) else {"message": error}
        return Refusal(known.get("code"), self._told(str(known.get("message", ""))))

    def _sent(self, body: bytes) -> tuple[int, bytes]:
        try:
            try:
                return self._post(body)
            except httpx.RemoteProtocolError:
                return self._post(body)  # a kept connection that the node had just closed
        except httpx.ReadTimeout as error:
            raise TooMuch("silence") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise NodeFailed(type(error).__name__) from error

    def _post(self, body: bytes) -> tuple[int, bytes]:
        start = self._monotonic()
        # Unpacked by nobody: a small answer must not become a large one here.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        found = bytearray()
        with self._http.stream("POST", self._url, content=body, headers=headers, timeout=timeout) as answer:
            for part in answer.iter_raw():
                found += part
                if len(found) > ANSWER_BYTES or self._monotonic() > start + ANSWER_S:
                    raise TooMuch(f"more than {ANSWER_BYTES} bytes or {ANSWER_S} s")
            now = self._monotonic()
            if now > start + SLOW_S:
                self._slow_until = now + SLOW_FOR_S
            return answer.status_code, bytes(found)

    def _told(self, text: str) -> str:
        """A node's own words, fit for a log: one line, short, without its address."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return re.sub(r"[^\x20-\x7e…]+|[a-z]+://\S+", " ", text)[:200]


def _is_one_error(said: Any) -> bool:
    """Whether several questions were answered with one error for all."""
    return isinstance(said, list) and len(said) == 1 and isinstance(said[0], dict) and "error" in said[0]


def _secrets(url: str) -> list[str]:
    """The parts of a node's address that must not be told, longest first."""
    parts = urlsplit(url)
    pieces = [url, parts.netloc, parts.hostname or "", parts.username or "", parts.password or ""]
    pieces += [*parts.path.split("/"), *re.split(r"[&=]", parts.query)]
    return sorted({piece for piece in pieces if len(piece) > 5}, key=len, reverse=True)
