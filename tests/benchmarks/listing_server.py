"""An S3 of one bucket that can only be listed: ListObjectsV2 of any number of keys, made up as asked.

``python -m tests.benchmarks.listing_server PORT KEYS``. Loopback only.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_PAGE = 1000
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
#: Every object has the same content; its write was long ago.
ETAG = "c4ca4238a0b923820dcc509a6f75849b"
MODIFIED = "2026-10-05T12:00:00"


def key_of(number: int) -> str:
    """The key of an object by its number: in the order in which S3 lists."""
    return f"in/{number:08}.csv"


class Listing(BaseHTTPRequestHandler):
    """Answers GetBucketVersioning and ListObjectsV2."""

    protocol_version = "HTTP/1.1"
    keys = 0

    def do_GET(self) -> None:
        """Answer one request."""
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        text = f"<VersioningConfiguration {_NAMESPACE}/>" if "versioning" in query else self._page(query)
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _page(self, query: dict[str, list[str]]) -> str:
        after = query.get("start-after", [""])[0]
        first = int(query.get("continuation-token", ["0"])[0])
        if not first and after:
            first = int(after[3:11]) + 1
        last = min(first + _PAGE, self.keys)
        entries = "".join(
            f"<Contents><Key>{key_of(number)}</Key><LastModified>{MODIFIED}.000Z</LastModified>"
            f"<ETag>&quot;{ETAG}&quot;</ETag><Size>1</Size></Contents>"
            for number in range(first, last)
        )
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < self.keys else ""
        truncated = str(last < self.keys).lower()
        return (
            f"<ListBucketResult {_NAMESPACE}><Name>b</Name><IsTruncated>{truncated}</IsTruncated>"
            f"{more}{entries}</ListBucketResult>"
        )

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until ended."""
    port, Listing.keys = int(sys.argv[1]), int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", port), Listing).serve_forever()


if __name__ == "__main__":
    main()
