"""The opening handshake: only a browser on the site's own pages gets a stream."""

import pytest

from controller.gateway.handshake import Request, RequestRefused, accept_key, parse

ORIGIN = "https://gpu.example.org"
GOOD = {
    "Host": "gpu.example.org",
    "Origin": ORIGIN,
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "binary, ticket.abc.def",
    "Cookie": "axonos_session=secret",
}


def head(path="/stream", method="GET", **changes):
    fields = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines]).encode()


def test_the_example_of_the_rfc():
    request = parse(head())
    assert accept_key(request, ORIGIN) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert request.ticket == "abc.def"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": ORIGIN + ".evil.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Upgrade": None}, 426),
        ({"Connection": "close"}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Protocol": "ticket.abc.def"}, 400),
        ({"path": "/stream?ticket=abc"}, 404),
        ({"path": "/"}, 404),
    ],
)
def test_anything_else_gets_an_http_answer(changes, status):
    with pytest.raises(RequestRefused, match=str(status)):
        accept_key(parse(head(**changes)), ORIGIN)


@pytest.mark.parametrize("data", [b"", b"GET /", b"\xff\xfe", head().replace(b": ", b" "), b"GET / HTTP/1.0"])
def test_what_is_no_request_is_refused(data):
    with pytest.raises(RequestRefused, match=r"400|405"):
        parse(data)


def test_two_origins_never_add_up_to_ours():
    request = parse(head() + b"\r\nOrigin: https://evil.example.org")
    with pytest.raises(RequestRefused, match="403"):
        accept_key(request, ORIGIN)


def test_no_ticket_is_an_empty_one():
    assert Request("/stream", {"sec-websocket-protocol": "binary"}).ticket == ""
