"""Where what was fetched, built or generated is kept between runs."""

from pathlib import Path


def cache_folder(environ):
    """The user's: $TONNAGE_CACHE_DIR, $XDG_CACHE_HOME/tonnage or ~/.cache/tonnage; else None."""
    if environ.get("TONNAGE_CACHE_DIR"):
        base = Path(environ["TONNAGE_CACHE_DIR"])
    elif environ.get("XDG_CACHE_HOME"):
        base = Path(environ["XDG_CACHE_HOME"]) / "tonnage"
    elif environ.get("HOME"):
        base = Path(environ["HOME"]) / ".cache/tonnage"
    else:
        return None
    return base.absolute()
