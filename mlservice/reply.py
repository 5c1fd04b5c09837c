"""An answer in JSON that goes out in one go.

aiohttp prepares any answer in nine calls, which cost a third of a request that
predicts one row. An answer that is small, whole, and on a connection that stays
open needs one of them; one whose head is that of others needs not even headers:
they are made when somebody looks at them. All other cases are left to aiohttp.
Signals of `on_response_prepare` do not see these answers: headers that all
answers have are added by `answering`.
"""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import cached_property, lru_cache

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict, istr

JSON_TYPE = "application/json"
REQUEST_ID: str = istr("X-Request-ID")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class Head:
    """What stands above the length of many answers, written once a second.

    Parameters
    ----------
    headers : mapping of str to str
        Constants, since nobody looks for line ends in them: what an answer in JSON
        has beside Content-Length, Date and X-Request-ID.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.headers = {hdrs.CONTENT_TYPE: JSON_TYPE, "X-Content-Type-Options": "nosniff"}
        self.headers |= headers or {}
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self._second = 0
        self._written = b""

    def written(self) -> bytes:
        """Return the head of a 200 as it is now, up to the length that follows."""
        second = int(time.time())
        if second != self._second:
            above = f"HTTP/1.1 200 OK\r\n{self._lines}Date: {_date(second)}"
            text = f"{above}\r\nContent-Length: "
            self._second, self._written = second, text.encode()
        return self._written


_PLAIN = Head()


class Reply(web.Response):
    """A whole answer in JSON.

    Parameters
    ----------
    body : bytes
        JSON.
    status : int
        One that has a body.
    headers : mapping of str to str
        Those beside what `head` has.
    head : Head
        What it has in common with other answers.
    """

    # What aiohttp's constructor sets, which runs when somebody looks at the headers.
    _status = 200
    _reason = "OK"
    _identity = ""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        head: Head = _PLAIN,
    ) -> None:
        self._body: bytes = body
        self._head = head
        if headers or status != 200:
            self._status = status
            self._headers.update(headers or {})

    @cached_property
    def _headers(self) -> CIMultiDict[str]:  # type: ignore[override]  # aiohttp has a variable
        made = self._head.headers | {
            hdrs.CONTENT_LENGTH: str(len(self._body)),
            hdrs.DATE: _date(int(time.time())),
        }
        if self._identity:
            made[REQUEST_ID] = self._identity
        super().__init__(body=self._body, status=self._status, headers=made)
        found: CIMultiDict[str] = self.__dict__["_headers"]
        return found

    def identify(self, identity: str) -> None:
        """Tell the request's id, which consists of what may stand in a header."""
        self._identity = identity
        if "_headers" in self.__dict__:
            self._headers[REQUEST_ID] = identity

    def written(self) -> bytes:
        """Return head and body as they are sent, if the answer has an id and nothing of its own."""
        named = self._head.written(), len(self._body), self._identity.encode(), self._body
        return b"%b%d\r\nX-Request-ID: %b\r\n\r\n%b" % named

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send head and body."""
        if not self._is_plain(request):
            return await super().prepare(request)
        writer = request.writer
        self._keep_alive = True
        if self._identity and "_headers" not in self.__dict__:
            await writer.write_eof(self.written())
        else:
            await writer.write_headers(f"HTTP/1.1 {self.status} {self.reason}", self._headers)
            await writer.write_eof(self._body)
        self._eof_sent = True
        return writer

    def _is_plain(self, request: web.BaseRequest) -> bool:
        return (
            # Else it was prepared, or somebody wants the connection to be closed.
            self._keep_alive is None
            and request.keep_alive
            and request.version == HttpVersion11
            and request.method != "HEAD"
            and not self._compression
            and not self._cookies
        )
