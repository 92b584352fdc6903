"""The manual: an index, and each page of `ctsftp.pages` as HTML."""

import re
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.responses import Response

from ctsftp import pages
from ctsftp.web.console.visitor import Visitor

# A page is ours, and holds no HTML all the same: whatever looks like it is shown as text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_SCROLLS = '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>'
_PICTURE = re.compile(r"(?<=\]\()([a-z-]+\.png)(?=\))")


async def index(visitor: Visitor) -> Response:
    listed = [(name, pages.title(name)) for name in pages.NAMES]
    return await visitor.page("help.html", here="/help", listed=listed)


async def page(visitor: Visitor) -> Response:
    """Show a page, or a picture that stands on one."""
    name = visitor.request.path_params["name"]
    if name.endswith(".png"):
        return Response(pages.picture(name), media_type="image/png")
    written = as_html(pages.text(name))
    return await visitor.page("manual.html", here="/help", title=pages.title(name), written=written)


@lru_cache(maxsize=len(pages.NAMES))
def as_html(text: str) -> Markup:
    """Write a page as HTML: links lead to pages of the console, and headings can be linked to."""
    tokens = _MARKDOWN.parse(_PICTURE.sub(r"/help/\1", pages.replace_links(text, _link)))
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(following.content))
    html = str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))
    html = (
        html.replace("<table>", _SCROLLS).replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    )
    return Markup(html)  # noqa: S704  the renderer has escaped what stands on the page


def anchor(heading: str) -> str:
    """Return what a heading is linked to by, as GitHub has it."""
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


def _link(words: str, target: str, at: str) -> str:
    """Write a link, as Markdown; what is a file of the repository has no address here."""
    name = pages.page_of(target)
    if name:
        return f"[{words}](/help/{name}{at})"
    return f"[{words}]({target}{at})" if target.startswith("https://") or not target else words
