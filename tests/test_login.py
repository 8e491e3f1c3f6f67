"""Who is asking: everybody where no log-in is set up, and nobody else than who passed it where one is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import streamlit as st
from conftest import borrow
from streamlit import auth_util, config
from streamlit.errors import StreamlitAuthError
from streamlit.testing.v1 import AppTest

from classifier.workflows.corrections import last_corrections

pytestmark = pytest.mark.usefixtures("light_pages")

APP = str(Path(__file__).parents[1] / "streamlit_app.py")
AUTH = {"auth": {"redirect_uri": "https://classify.example.org/oauth2callback", "client_id": "x"}}


def opened(user: dict[str, object] | None = None, *, has_login: bool = True) -> AppTest:
    """Open the page as somebody."""
    page = AppTest.from_file(APP, default_timeout=60)
    if has_login:
        page.secrets.update(AUTH)
    if user is not None:
        page.user = user
    page.run()
    assert not page.exception
    return page


def labels(page: AppTest) -> list[str]:
    """Return what is written on the buttons."""
    return [button.label for button in page.button]


def words(page: AppTest) -> str:
    """Return everything that was drawn."""
    return " ".join(element.value for element in page.html if "<style>" not in element.value)


@pytest.mark.parametrize("user", [None, {"is_logged_in": False}, {"email": "ana@example.org"}])
def test_a_log_in_that_is_set_up_must_be_passed(user: dict[str, object] | None) -> None:
    """Nothing but its button is there before."""
    page = opened(user)
    assert labels(page) == ["Log in"]
    assert "Log in to go on" in words(page)
    assert not page.sidebar.button
    assert "model" not in words(page).lower()


def test_a_log_in_that_is_not_set_up_completely_is_one_sentence() -> None:
    page = opened()
    page.button[0].click()
    page.run()
    assert not page.exception
    assert [error.value.startswith("The log\\-in is not set up completely") for error in page.error] == [True]
    assert labels(page) == ["Log in"]


def test_who_passed_it_sees_the_page_and_may_leave() -> None:
    page = opened({"is_logged_in": True, "email": "*ana*@example.org"})
    assert "No model yet" in words(page)
    assert "Log out" in [button.label for button in page.sidebar.button]
    assert "\\*ana\\*" in page.sidebar.caption[0].value


def test_without_a_log_in_nothing_changes() -> None:
    page = opened(has_login=False)
    assert "No model yet" in words(page)
    assert not {"Log in", "Log out"} & set(labels(page))


def test_secrets_that_cannot_be_read_let_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the file must not open the page to all."""
    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\nclient_id=")
    monkeypatch.setattr(st, "get_option", lambda _: [str(broken)])
    monkeypatch.setattr(type(st.secrets), "load_if_toml_exists", lambda _: False)
    assert labels(opened(has_login=False)) == ["Log in"]


@pytest.mark.parametrize(
    ("user", "who"),
    [
        ({"is_logged_in": True, "email": "ana@example.org"}, "ana@example.org"),
        ({"is_logged_in": True, "sub": "4711"}, "4711"),
        ({"email": "stranger@example.org"}, "page"),
        (None, "page"),
    ],
)
def test_a_decision_names_who_made_it(
    user: dict[str, object] | None, who: str, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an address that a log-in vouches for counts as a name."""
    settings = borrow(library, tmp_path / "models", "tickets")
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(settings.models_dir))
    page = opened(user, has_login=who != "page")
    page.text_area[0].set_value("Where is my parcel?")
    page.run()
    next(button for button in page.button if button.label == "Right").click()
    page.run()
    assert [one.who for one in last_corrections(settings, "tickets")] == [who]


def toml_of(page: str) -> list[dict[str, dict[str, object]]]:
    """Return the configurations that a document shows."""
    text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    return [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)]


def test_the_document_names_the_keys_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit knows every option, and takes the credentials as they are shown, and only all of them."""
    server, secrets = toml_of("serving.md")
    assert {f"server.{name}" for name in server["server"]} <= set(config.get_config_options())
    monkeypatch.setattr(auth_util, "secrets_singleton", StoredSecrets(secrets))
    auth_util.validate_auth_credentials("default")
    assert auth_util.get_validated_redirect_uri() == secrets["auth"]["redirect_uri"]
    for missing in secrets["auth"]:
        left = {name: value for name, value in secrets["auth"].items() if name != missing}
        monkeypatch.setattr(auth_util, "secrets_singleton", StoredSecrets({"auth": left}))
        with pytest.raises(StreamlitAuthError):
            auth_util.validate_auth_credentials("default")


class StoredSecrets(dict[str, object]):
    """Secrets as they are after reading."""

    def load_if_toml_exists(self) -> bool:
        """Say that they were read."""
        return True
