"""The page /docs: one self-contained page to read what a model takes, and to try it."""

from __future__ import annotations

from html import escape

from onebutton_serving.loading import Loaded

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(loaded: Loaded) -> str:
    """Write the page of a release."""
    return f"<!doctype html><title>{escape(loaded.schema.title)}</title><h1>{escape(loaded.schema.title)}</h1>"


def waiting_page(reason: str) -> str:
    """Write the page of a server that has no release yet."""
    return f"<!doctype html><title>not ready</title><p>{escape(reason)}</p>"
