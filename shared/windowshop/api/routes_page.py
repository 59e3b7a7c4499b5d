"""The storefront: plain files of the package, and what a home adds to them."""

from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

POLICY = "frame-ancestors 'none'; object-src 'none'"  # the page itself says the rest


def routes(app: FastAPI, more: Path | None) -> None:
    """`/` is the page, `/page/...` its files; those in the folder `more` go before its own."""
    index = Path(str(resources.files("windowshop").joinpath("page", "index.html")))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(index, headers={"Content-Security-Policy": POLICY})

    files = StaticFiles(directory=more, packages=[("windowshop", "page")], check_dir=False)
    app.mount("/page", files)
