"""What is in a request: the token, parameters of query and form, the JSON of a body."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.netatmo.reply import ARGUMENT_MISSING, INVALID, NO_JSON, Refusal, echo

MAX_BODY_BYTES = 65_536
MAX_PARAMETERS = 256
FORM_TYPE = "application/x-www-form-urlencoded"


class Parameters:
    """Parameters by name, each with all its values; `name[]=a&name[]=b` is the same as a repeated `name`."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.removesuffix("[]"), []).append(value)

    def text(self, name: str) -> str:
        """The last value, empty where there is none."""
        return self._values.get(name, [""])[-1]

    def texts(self, name: str) -> list[str]:
        """All values; one with commas counts as several, as some clients send them."""
        return [part for value in self._values.get(name, []) for part in value.split(",") if part]

    def required(self, name: str) -> str:
        """The value. Raises: Refusal when there is none."""
        value = self.text(name)
        if not value:
            raise Refusal(ARGUMENT_MISSING, f"Missing {name}")
        return value

    def number(self, name: str, default: int, *, most: int) -> int:
        """A number from 0 on; one above `most` counts as that. Raises: Refusal."""
        value = self.text(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise Refusal(INVALID, f"Invalid {name}")
        return min(int(value), most)

    def plain(self) -> dict[str, str]:
        """One value of each."""
        return {name: values[-1] for name, values in self._values.items()}


def peer_of(request: Request) -> str:
    """The plain address of who asks."""
    return request.client.host if request.client is not None else ""


def local_ipv4(request: Request) -> str:
    """Our own address under which the request came; empty when it came over IPv6."""
    server = request.scope.get("server")
    host = str(server[0]) if server else ""
    return host if host.count(".") == 3 and ":" not in host else ""


async def parameters_of(request: Request) -> Parameters:
    """Parameters of the query and of a form. Raises: Refusal."""
    pairs = _pairs(request.scope["query_string"].decode("latin-1"))
    if request.method == "POST" and request.headers.get("content-type", FORM_TYPE).startswith(FORM_TYPE):
        body = await request.body()
        try:
            pairs += _pairs(body[:MAX_BODY_BYTES].decode())
        except UnicodeDecodeError as error:
            raise Refusal(INVALID, "Invalid form") from error
    return Parameters(pairs)


async def form_of(request: Request) -> dict[str, str]:
    """Parameters of a form alone: secrets do not belong into a query. Raises: Refusal."""
    body = await request.body()
    try:
        return Parameters(_pairs(body[:MAX_BODY_BYTES].decode())).plain()
    except UnicodeDecodeError as error:
        raise Refusal(INVALID, "Invalid form") from error


async def json_of(request: Request) -> dict[str, object]:
    """The object in the body; any other JSON counts as one without members. Raises: Refusal."""
    try:
        plain = decode_any(await request.body(), "request", max_bytes=MAX_BODY_BYTES)
    except MalformedMessage as error:
        raise Refusal(NO_JSON) from error
    return plain if isinstance(plain, dict) else {}


async def either_of(request: Request) -> Parameters:
    """Parameters of a form, or the texts of a JSON object. Raises: Refusal."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return await parameters_of(request)
    pairs: list[tuple[str, str]] = []
    for name, value in (await json_of(request)).items():
        values = value if isinstance(value, list) else [value]
        for text in values:
            if not isinstance(text, str):
                raise Refusal(INVALID, f"Invalid {echo(name)}")
            pairs.append((name, text))
    return Parameters(pairs)


async def token_of(request: Request) -> str:
    """The access token: of the header, else of query or form; empty where there is none. Raises: Refusal."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    return (await parameters_of(request)).text("access_token")


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise Refusal(INVALID, "Too many parameters") from error
