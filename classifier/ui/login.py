"""Who visits the page, where a log-in is set up."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

LOGIN_SECTION = "auth"
NOBODY = "page"


def who() -> str:
    """Return the e-mail address of the visitor who is logged in, else ``page``."""
    told = st.user.to_dict()
    return str(told.get("email") or told.get("sub") or NOBODY) if is_logged_in() else NOBODY


def must_log_in() -> bool:
    """Tell whether a log-in is set up that this visitor has not passed yet; a broken set-up lets nobody in."""
    is_broken = not st.secrets.load_if_toml_exists() and any(Path(one).is_file() for one in _secret_files())
    is_set_up = is_broken or (st.secrets.load_if_toml_exists() and LOGIN_SECTION in st.secrets)
    return is_set_up and not is_logged_in()


def is_logged_in() -> bool:
    """Tell whether this visitor passed a log-in."""
    return st.user.to_dict().get("is_logged_in") is True


def _secret_files() -> list[str]:
    """Return where secrets may be."""
    return list(st.get_option("secrets.files") or [])
