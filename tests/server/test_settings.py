from pathlib import Path

import pytest

from server.settings import LONGEST_SOCKET_PATH, VARIABLES, Settings


def test_an_empty_environment_gives_sqlite_in_a_local_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({})
    assert settings.data_dir == tmp_path / ".dipole"
    assert settings.database_url == f"sqlite:///{tmp_path}/.dipole/dipole.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.token is None
    assert settings.worker_url is None


def test_every_variable_is_read():
    environ = {
        "DIPOLE_DATA_DIR": "/data",
        "DIPOLE_DATABASE_URL": "postgresql://db/dipole",
        "DIPOLE_HOST": "0.0.0.0",
        "DIPOLE_PORT": "9000",
        "DIPOLE_TOKEN": "secret",
        "DIPOLE_WORKER_URL": "http://worker:8100/",
    }
    assert Settings.read(environ) == Settings(
        data_dir=Path("/data"),
        database_url="postgresql://db/dipole",
        host="0.0.0.0",
        port=9000,
        token="secret",
        worker_url="http://worker:8100",
    )


def test_an_override_wins_unless_it_is_none():
    settings = Settings.read({"DIPOLE_PORT": "9000", "DIPOLE_HOST": "::1"}, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "::1")


def test_an_empty_variable_counts_as_unset():
    assert Settings.read({"DIPOLE_TOKEN": "", "DIPOLE_WORKER_URL": ""}).token is None


def test_a_child_process_reads_the_same_settings_from_its_environment(tmp_path):
    settings = Settings(tmp_path, "sqlite:///x.db", token="secret", worker_url="http://w:1")
    assert Settings.read(settings.environment()) == settings


def test_the_token_and_the_password_in_the_url_are_not_printed(tmp_path):
    printed = repr(Settings(tmp_path, "postgresql://me:hush@db/dipole", token="secret"))
    assert "secret" not in printed
    assert "hush" not in printed


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"port": "many"}, "port must be a number"),
        ({"port": 70_000}, "between 0 and 65535"),
        ({"database_url": "mysql://db/x"}, "sqlite:/// or postgresql://"),
        ({"worker_url": "worker:8100"}, "http:// or https://"),
        ({"colour": "blue"}, "no such setting: colour"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_sentence(overrides, message):
    with pytest.raises(ValueError, match=message) as refusal:
        Settings.read({}, **overrides)
    assert "\n" not in str(refusal.value)


def test_the_worker_socket_lies_in_the_data_directory(tmp_path):
    assert Settings(Path("/data"), "sqlite:///x.db").worker_socket == Path("/data/worker.sock")


def test_a_long_data_directory_gets_a_short_socket_of_its_own():
    sockets = {
        Settings(Path("/data") / (letter * 120), "sqlite:///x.db").worker_socket for letter in "ab"
    }
    assert len(sockets) == 2
    assert max(len(str(socket)) for socket in sockets) <= LONGEST_SOCKET_PATH


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_loopback_host_needs_no_token(host):
    Settings(Path("/data"), "sqlite:///x.db", host=host).require_token_when_open()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.3", "example.org"])
def test_an_open_host_needs_a_token(host):
    with pytest.raises(ValueError, match="DIPOLE_TOKEN"):
        Settings(Path("/data"), "sqlite:///x.db", host=host).require_token_when_open()


def test_every_setting_has_a_variable():
    assert set(VARIABLES) == set(Settings.__dataclass_fields__)
