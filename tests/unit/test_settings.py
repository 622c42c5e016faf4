"""Configuration: read once, whole, and every fault told with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import tuning
from config.load import PACKAGED, Configuration, load, repo_name
from config.settings import Api, Settings
from core.errors import Unclear
from core.model import Role, Severity
from core.sessions.ending import LONGEST_PAUSE, retry_pause


def _load(folder: Path, **options: object) -> Configuration:
    options.setdefault("environ", {})
    return load(folder=folder, **options)  # type: ignore[arg-type]


def _faults(folder: Path, toml: str = "", **options: object) -> list[str]:
    (folder / "bullpen.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(Unclear) as raised:
        _load(folder, **options)
    return str(raised.value).splitlines()


def test_nothing_configured_is_the_packaged_file_and_that_is_the_defaults(tmp_path: Path) -> None:
    found = _load(tmp_path)
    assert found.file == PACKAGED / "bullpen.toml"
    assert found.settings == Settings()
    assert [agent.name for agent in found.agents] == ["shell", "claude"]
    assert [workflow.name for workflow in found.workflows] == ["quick"]
    assert set(found.prompts) == {"any", "again", "alone", "instructions"}
    assert found.repos == ()


def test_the_stronger_source_wins(tmp_path: Path) -> None:
    (tmp_path / "bullpen.toml").write_text(
        'data_dir = "from-file"\n[telegram]\ntoken = "from-file"\n[queue]\nmax_concurrent = 2\n',
        encoding="utf-8",
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "telegram_token").write_text("from-folder\n", encoding="utf-8")
    environ = {"BULLPEN_SECRETS_DIR": str(secrets)}

    def token(**more: str) -> str:
        return _load(tmp_path, environ=environ | more).settings.telegram.token.get_secret_value()

    assert token() == "from-folder"
    assert token(TELEGRAM_BOT_TOKEN="plain") == "plain"
    assert token(TELEGRAM_BOT_TOKEN="plain", BULLPEN_TELEGRAM__TOKEN="ours") == "ours"
    environ |= {"BULLPEN_QUEUE__MAX_CONCURRENT": "7", "BULLPEN_DATA_DIR": "from-environment"}
    settings = _load(tmp_path, environ=environ, data="from-line").settings
    assert settings.queue.max_concurrent == 7
    assert settings.data_dir == Path("from-line")


def test_secrets_lie_in_the_data_folder_too(tmp_path: Path) -> None:
    (tmp_path / "data" / "secrets").mkdir(parents=True)
    (tmp_path / "data" / "secrets" / "github_token").write_text("abc123", encoding="utf-8")
    settings = _load(tmp_path, data=str(tmp_path / "data")).settings
    assert settings.github.token.get_secret_value() == "abc123"


def test_all_faults_are_told_together_with_file_and_key(tmp_path: Path) -> None:
    toml = """
        nope = 1
        timezone = "Mars/Base"
        [queue]
        max_concurent = 2
        max_concurrent = "many"
        [repos.shop]
        sorce = "x"
        [telegram.users]
        123 = "boss"
        [channels]
        crew = ["telegram"]
    """
    environ = {"BULLPEN_QUEUE__PAUSD": "1", "BULLPEN_API__PORT": "99999", "BULLPEN_NOPE": "1"}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "agents.toml").write_text(
        '[agents.Foo]\ndriver = "command"\n[agents.bar]\ndrver = "command"\n', encoding="utf-8"
    )
    faults = _faults(tmp_path, toml, environ=environ)
    for start in (
        "bullpen.toml: timezone: no timezone `Mars/Base`",
        "bullpen.toml: queue.max_concurent: unknown key; did you mean max_concurrent?",
        "bullpen.toml: queue.max_concurrent: must be a whole number",
        "bullpen.toml: repos.shop.sorce: unknown key; did you mean source?",
        "bullpen.toml: repos.shop.source: is missing",
        "bullpen.toml: telegram.users.123: must be 'viewer', 'operator', 'approver' or 'admin'",
        "bullpen.toml: channels.crew.0: no chat in `telegram`",
        "BULLPEN_QUEUE__PAUSD: unknown key; did you mean BULLPEN_QUEUE__PAUSED?",
        "BULLPEN_API__PORT: must be less than or equal to 65535",
        "BULLPEN_NOPE: unknown key",
        "agents.toml: agents.Foo: a name is made of a-z, 0-9 and -",
        "agents.toml: agents.bar.drver: unknown key; did you mean driver?",
    ):
        assert any(fault.startswith(start) for fault in faults), (start, faults)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("queue = [", "bullpen.toml: no valid TOML: "),
        ("[queue]\n[queue]", "bullpen.toml: no valid TOML: Cannot declare ('queue',) twice "
         "(at line 2, column 7): it stands there already, keep one of the two"),
        ("queue = 3", "bullpen.toml: queue: must be a table"),
        ('default_workflow = "fast"', "bullpen.toml: default_workflow: no workflow `fast`; there"),
        ('[[notify]]\nchannel = "x"', "bullpen.toml: notify.0.channel: no channel `x`; there are"),
        ('[repos]\nroot = "/not/there"', "repos.root: /not/there: no such file or directory"),
    ],
)
def test_one_fault_is_one_line(tmp_path: Path, toml: str, fault: str) -> None:
    (line,) = _faults(tmp_path, toml)
    assert line.startswith(fault)


def test_a_settings_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Unclear, match=r"nowhere\.toml: can't be read: no such file"):
        _load(tmp_path, config=str(tmp_path / "nowhere.toml"))


def test_no_fault_and_no_repr_shows_a_secret(tmp_path: Path) -> None:
    faults = _faults(tmp_path, '[telegram]\ntoken = ["hunter2"]\n')
    assert "hunter2" not in "".join(faults)
    (tmp_path / "bullpen.toml").write_text('[telegram]\ntoken = "hunter2"', encoding="utf-8")
    settings = _load(tmp_path).settings
    assert "hunter2" not in repr(settings)
    assert settings.secrets() == ("hunter2",)


def test_hooks_and_what_agents_are_told_are_no_settings(tmp_path: Path) -> None:
    names = (
        "BULLPEN_KILL_AT",
        "BULLPEN_TEST_X",
        "BULLPEN_TASK",
        "BULLPEN_ATTEMPT",
        "BULLPEN_TOKEN",
    )
    assert _load(tmp_path, environ=dict.fromkeys(names, "x")).settings == Settings()


def test_repositories_by_table_by_root_and_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "all" / "one" / ".git").mkdir(parents=True)
    (tmp_path / "all" / "no-repo").mkdir()
    (tmp_path / "bullpen.toml").write_text(
        f'[repos]\nroot = "{tmp_path}/all"\n'
        '[repos.shop]\nsource = "https://example.org/shop.git"\ncheck = "make test"\n',
        encoding="utf-8",
    )
    shop, one = _load(tmp_path).repos
    assert (shop.name, shop.source, shop.branch, shop.check) == (
        "shop",
        "https://example.org/shop.git",
        "",
        "make test",
    )
    assert (one.name, one.source) == ("one", f"{tmp_path}/all/one")
    (only,) = _load(tmp_path, repo=f"{tmp_path}/all/one/").repos
    assert (only.name, only.source) == ("one", f"{tmp_path}/all/one")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/srv/shop", "shop"),
        ("/srv/my shop/", "my-shop"),
        ("https://example.org/a/shop.git", "shop"),
        ("git@example.org:shop.git", "shop"),
        ("/", "repo"),
    ],
)
def test_a_repository_is_called_by_its_last_part(source: str, name: str) -> None:
    assert repo_name(source) == name


def test_people_channels_and_rules_as_values(tmp_path: Path) -> None:
    (tmp_path / "bullpen.toml").write_text(
        '[telegram.users]\n7 = "admin"\n[channels]\nteam = ["telegram:-100", "console"]\n'
        '[[notify]]\nchannel = "team"\ntypes = ["gate.*"]\nseverity = "warning"\n',
        encoding="utf-8",
    )
    settings = _load(tmp_path).settings
    assert settings.people() == {"telegram": {"7": Role.ADMIN}}
    assert settings.targets() == {
        "team": (("telegram", "-100"), ("console", "console")),
        "crew": (("console", "console"),), "vibe-critical": (("console", "console"),)}
    (rule,) = settings.notify
    assert (rule.types, rule.severity, rule.lane) == (("gate.*",), Severity.WARNING, None)


def test_a_table_may_come_as_json_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "BULLPEN_TELEGRAM__USERS": '{"7": "viewer"}',
        "BULLPEN_REPOS__SHOP__SOURCE": "/srv/x",
    }
    found = _load(tmp_path, environ=environ)
    assert found.settings.people() == {"telegram": {"7": Role.VIEWER}}
    assert found.repos[0].name == "shop"


def test_own_agents_and_prompts_replace_packaged_ones_by_name(tmp_path: Path) -> None:
    (tmp_path / "config" / "prompts").mkdir(parents=True)
    (tmp_path / "config" / "agents.toml").write_text(
        '[agents.claude]\ndriver = "claude"\nmodel = "opus"\nskills = ["sql"]\n'
        '[agents.mine]\ndriver = "command"\noptions = { command = "true" }\n',
        encoding="utf-8",
    )
    (tmp_path / "config" / "prompts" / "any.md").write_text("Do {{ task.title }}", encoding="utf-8")
    found = _load(tmp_path)
    agents = {agent.name: agent for agent in found.agents}
    assert list(agents) == ["shell", "claude", "mine"]
    assert (agents["claude"].model, agents["claude"].skills) == ("opus", frozenset({"sql"}))
    assert agents["mine"].options == {"command": "true"}
    assert found.prompts["any"] == "Do {{ task.title }}"


def test_budgets_pauses_and_a_queue_at_rest(tmp_path: Path) -> None:
    (tmp_path / "bullpen.toml").write_text(
        "[queue]\nmax_concurrent = 0\n[budget]\nday_usd = 20\nday_tokens = 5000000\n"
        "warn_at = 1\n[limits]\npause_seconds = 60\n",
        encoding="utf-8",
    )
    settings = _load(tmp_path).settings
    assert settings.queue.max_concurrent == 0
    assert (settings.budget.day_usd, settings.budget.day_tokens) == (20.0, 5_000_000)
    assert (settings.budget.warn_at, settings.limits.pause_seconds) == (1.0, 60.0)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[queue]\nmax_concurrent = -1", "queue.max_concurrent: must be greater than or equal"),
        ("[budget]\nday_usd = 0", "budget.day_usd: must be greater than 0"),
        ("[budget]\nday_usd = inf", "budget.day_usd: must be a finite number"),
        ("[budget]\nwarn_at = 1.1", "budget.warn_at: must be less than or equal to 1"),
        ("[budget]\nwarn_at = 0", "budget.warn_at: must be greater than 0"),
        ("[limits]\npause_seconds = 0", "limits.pause_seconds: must be greater than 0"),
        ("[budget]\nday_eur = 1", "budget.day_eur: unknown key"),
        ("[budget]\nday_usd = 1e300", "budget.day_usd: must be less than or equal to 1000000"),
        ("[budget]\nday_tokens = 99999999999999", "budget.day_tokens: must be less than or"),
        ("[limits]\ngrace_seconds = 1e300", "limits.grace_seconds: must be less than or equal"),
        ("[limits]\nwall_seconds = 1e300", "limits.wall_seconds: must be less than or equal"),
        ("[retry]\nbase_seconds = 1e300", "retry.base_seconds: must be less than or equal"),
        ('[queue]\nmax_concurrent = "two"', "queue.max_concurrent: must be a whole number"),
        ("tick_seconds = 1e300", "tick_seconds: must be less than or equal to 86400"),
    ],
)
def test_no_budget_and_no_pause_that_makes_no_sense(tmp_path: Path, toml: str, fault: str) -> None:
    (line,) = _faults(tmp_path, toml)
    assert line.startswith(f"bullpen.toml: {fault}")


@pytest.mark.parametrize("key", [key for key, value in tuning.settable(Settings()).items()
                                 if key.startswith("budget") or type(value) in (int, float)])
def test_no_number_can_be_set_that_no_row_and_no_timer_holds(key: str) -> None:
    with pytest.raises(Unclear, match="must be "):
        tuning.changed(Settings(), {key: "1" + "0" * 20})


def test_a_word_for_a_number_is_said_plainly() -> None:
    with pytest.raises(Unclear) as wrong:
        tuning.changed(Settings(), {"queue.max_concurrent": "two"})
    assert str(wrong.value) == "queue.max_concurrent: must be a whole number"


# -- changed by hand -------------------------------------------------------------------------


def test_what_can_be_changed_by_hand_is_the_numbers_and_two_more() -> None:
    found = tuning.settable(Settings())
    sections = {key.partition(".")[0] for key in found}
    assert sections == {"queue", "budget", "limits", "retry", "qa", "default_workflow", "timezone"}
    assert found["queue.max_concurrent"] == 1
    assert found["budget.day_usd"] is None


@pytest.mark.parametrize(
    ("key", "said", "value"),
    [
        ("queue.max_concurrent", "0", 0),
        ("queue.paused", "yes", True),
        ("retry.base_seconds", "0.5", 0.5),
        ("budget.day_usd", None, None),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_a_word_becomes_what_its_key_takes(key: str, said: object, value: object) -> None:
    before = Settings(api=Api(port=7))
    after = tuning.changed(before, {key: said})
    assert tuning.settable(after)[key] == value
    assert after.api.port == 7, "the rest stays"


@pytest.mark.parametrize("key", ["api.port", "data_dir", "queue", "queue.nope", "telegram.token"])
def test_nothing_else_is_changed_by_hand(key: str) -> None:
    with pytest.raises(Unclear, match="unknown key"):
        tuning.changed(Settings(), {key: "1"})


@pytest.mark.parametrize(("base", "attempts", "pause"), [
    (30.0, 0, 30.0), (30.0, 2, 120.0), (0.0, 10**12, 0.0), (30.0, 10**12, LONGEST_PAUSE),
])
def test_a_pause_doubles_and_is_at_most_a_day(base: float, attempts: int, pause: float) -> None:
    assert retry_pause(base, attempts) == pause


@pytest.mark.parametrize("name", ["shop", "other"])
def test_a_repository_by_the_command_line_keeps_what_is_configured_of_it(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "bullpen.toml").write_text(
        f'[repos]\nroot = "{tmp_path}"\n[repos.{name}]\nsource = "{tmp_path}/shop"\n'
        'check = "make test"\nbranch = "next"\n[repos.third]\nsource = "/srv/third"\n',
        encoding="utf-8",
    )
    (only,) = _load(tmp_path, repo=f"{tmp_path}/shop/").repos
    assert (only.name, only.source) == (name, f"{tmp_path}/shop")
    assert (only.check, only.branch) == ("make test", "next")
    (named,) = _load(tmp_path, repo=name if name != "shop" else "third").repos
    assert (named.source, named.check) in [(f"{tmp_path}/shop", "make test"), ("/srv/third", None)]
    assert _load(tmp_path, repo="/srv/strange").repos[0].check is None


def test_a_name_alone_does_not_make_it_the_configured_one(tmp_path: Path) -> None:
    (tmp_path / "bullpen.toml").write_text(
        '[repos.shop]\nsource = "/srv/a/shop"\ncheck = "make test"\n', encoding="utf-8"
    )
    (only,) = _load(tmp_path, repo="/srv/b/shop").repos
    assert (only.source, only.check) == ("/srv/b/shop", None)


@pytest.mark.parametrize("url", ["build-host:3021", "http://", "http://a/b", "ftp://a", "http://u@a",
                                 "http://a?x", "http://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Api(agents_url=url)


@pytest.mark.parametrize("url", ["", "http://build-host:3021", "https://[fd00::1]:443/"])
def test_an_address_for_agents(url: str) -> None:
    assert Api(agents_url=url).agents_url == url
