"""The style sheet, the script and the icon: read once, and known by what they hold, so that a browser may keep them."""

import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Assets:
    """The files of `assets/`, and the addresses that pages name them by."""

    def __init__(self) -> None:
        folder = resources.files(__package__) / "assets"
        self._files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in TYPES}
        self.addresses = {
            name: f"/assets/{hashlib.sha256(data).hexdigest()[:16]}/{name}" for name, data in self._files.items()
        }

    async def serve(self, request: Request) -> Response:
        """Answer with a file; its address changes with it, so it is kept for good."""
        name = request.path_params["name"]
        if self.addresses.get(name) != request.url.path:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._files[name], headers=kept, media_type=TYPES[name.rpartition(".")[2]])


ASSETS = Assets()
