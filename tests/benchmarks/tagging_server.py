"""An S3 whose every object has the same tags: answers GetObjectTagging, and counts its calls.

``python -m tests.benchmarks.tagging_server PORT``. Loopback only. ``GET /calls`` gives the counts as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

_TAGS = (
    b'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>class</Key>'
    b"<Value>gold</Value></Tag></TagSet></Tagging>"
)
_calls: Counter[str] = Counter()


def _answer(line: str) -> bytes:
    method, target, _ = line.split(" ", 2)
    if target == "/calls":
        return json.dumps(_calls).encode()
    _calls["head" if method == "HEAD" else "tags" if "?tagging" in target else "other"] += 1
    return _TAGS


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            content = _answer(head.split(b"\r\n", 1)[0].decode())
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
                + f"Content-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    async with await asyncio.start_server(_serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
