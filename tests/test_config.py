"""The configuration file: what is accepted, and how a mistake is explained.

Does not know: what the rest of the program does with the values.
"""

from datetime import time
from pathlib import Path

import pytest
from support.project import ROOT

from kinebackup.config import (
    AutomaticConfig,
    BackupConfig,
    Config,
    HoursConfig,
    Paths,
    PracticeConfig,
    RetentionConfig,
    RotationConfig,
    SourceConfig,
)
from kinebackup.config_file import MAX_CONFIG_BYTES, default_config_path, default_paths, parse_config, read_config
from kinebackup.errors import ConfigError, ExitCode

DEFAULTS = Paths(state=Path("/d/state"), cache=Path("/d/cache"), runtime=Path("/d/run"))
FILE = Path("/etc/kinebackup/config.toml")
EXAMPLE = ROOT / "config.example.toml"


def parsed(text: str) -> Config:
    return parse_config(text, FILE, DEFAULTS)


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return caught.value


# --- exclusions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("/home/anne/Patients/Cache", 'write "Cache/"'),
        ("/home/anne/Patients/Modèles/*.tmp", 'write "Modèles/*.tmp"'),
        ("~/Patients/Cache", 'write "Cache/"'),
        ("~/Patients/Modèles/anciens/", 'write "Modèles/anciens"'),
        ("./Cache", 'write "Cache/"'),
        ("./Modèles/anciens", 'write "Modèles/anciens"'),
        ("/Cache", 'write "Cache/"'),
        ("/Modèles/anciens/", 'write "Modèles/anciens"'),
        ("Modèles/../Cache", 'write "Cache/"'),
        ("Modèles//anciens", 'write "Modèles/anciens"'),
        ("~/Bureau", "write the path from /home/anne/Patients on"),
        ("~", "write the path from /home/anne/Patients on"),
        ("/home/anne/Patients", "write the path from /home/anne/Patients on"),
        ("../Bureau", "write the path from /home/anne/Patients on"),
        ("/", "write the path from /home/anne/Patients on"),
        (".", "write the path from /home/anne/Patients on"),
    ],
)
def test_an_exclusion_that_is_no_path_below_the_source_is_refused_with_the_correction(pattern: str, meant: str) -> None:
    error = refusal(f'[[sources]]\npath = "/home/anne/Patients"\nexclude = ["*.tmp", "{pattern}"]\n')
    assert f'line 3: the exclusion "{pattern}" is not a path below the source' in error.message
    assert error.hint.startswith(meant)


@pytest.mark.parametrize(
    "pattern", ["~$*", "~anne/x", ".~lock.*", "...", ".git", "..x/y", "Cache/", "a/b", "*/.cache", "[x]"]
)
def test_an_exclusion_that_looks_like_another_path_and_is_none_is_taken(pattern: str) -> None:
    config = parsed(f'[[sources]]\npath = "/home/anne/Patients"\nexclude = ["{pattern}"]\n')
    assert config.sources[0].exclude == (pattern,)


# --- mistakes -------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_a_usage_error_that_says_what_to_copy(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as caught:
        read_config(missing, environ={"HOME": "/home/x"}, is_root=False)
    assert caught.value.message == f"there is no configuration file {missing}"
    assert "config.example.toml" in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_directory_is_not_a_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        read_config(tmp_path, environ={"HOME": "/home/x"}, is_root=False)


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b'[practice]\nname = "caf\xe9"\n')
    with pytest.raises(ConfigError, match="line 2: this is not UTF-8 text"):
        read_config(file, environ={"HOME": "/home/x"}, is_root=False)


def test_an_enormous_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        read_config(file, environ={"HOME": "/home/x"}, is_root=False)


def test_text_that_is_not_toml_says_where() -> None:
    error = refusal("[practice]\nname = Cabinet\n")
    assert error.message.startswith("/etc/kinebackup/config.toml is not valid TOML: ")
    assert "line 2" in error.message


def test_a_misspelt_key_names_file_line_and_the_nearest_key() -> None:
    error = refusal('[practice]\nname = "x"\n\n# a comment\n[[sources]]\npath = "/srv/a"\nexlude = ["*.tmp"]\n')
    assert error.message == '/etc/kinebackup/config.toml, line 7: unknown key "exlude" in [[sources]]'
    assert error.hint == 'did you mean "exclude"?'


def test_a_misspelt_section_names_the_nearest_section() -> None:
    error = refusal('\n\n[practise]\nname = "x"\n')
    assert error.message == '/etc/kinebackup/config.toml, line 3: unknown key or section "practise"'
    assert error.hint == 'did you mean "practice"?'


def test_a_key_in_the_wrong_section_is_sent_home() -> None:
    error = refusal("[paths]\none_file_system = true\n")
    assert error.message == '/etc/kinebackup/config.toml, line 2: unknown key "one_file_system" in [paths]'
    assert error.hint == "it belongs under [[sources]]"


def test_a_key_that_resembles_nothing_lists_what_is_known() -> None:
    assert refusal("[practice]\nzzzzzz = 1\n").hint == "known here: name, language"


def test_the_line_is_right_after_values_that_span_lines() -> None:
    text = '[[sources]]\npath = "/a"\nexclude = [\n  "x = 1",\n  "kolour",\n]\nkolour = """\nkolour\n"""\n'
    assert "line 7: unknown key" in refusal(text).message


def test_the_line_of_the_second_source_is_not_that_of_the_first() -> None:
    text = '[[sources]]\npath = "/a"\none_file_system = true\n[[sources]]\npath = "/b"\none_file_system = "yes"\n'
    error = refusal(text)
    assert error.message == "/etc/kinebackup/config.toml, line 6: one_file_system has a value of another kind"
    assert error.hint == "expected: true or false, without quotes"


def test_the_line_is_found_in_a_file_with_windows_line_ends() -> None:
    assert "line 3: " in refusal("[practice]\r\n\r\nnam = 1\r\n").message


def test_the_line_is_found_for_dotted_and_inline_keys() -> None:
    assert "line 2: " in refusal('practice.name = "x"\npractice.nam = "y"\n').message
    assert "line 1: " in refusal('practice = { nam = "x" }\n').message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[practice]\nname = 3\n", "text between quotes"),
        ('[practice]\nname = "a\\u0000b"\n', "text between quotes"),
        ('[[sources]]\npath = "/a"\nexclude = "*.tmp"\n', "a list of texts"),
        ('[[sources]]\npath = "/a"\nexclude = [""]\n', "a list of texts"),
        ('[[sources]]\npath = "/a"\nexclude = [1]\n', "a list of texts"),
        ("[retention]\nkeep_last = 0\n", "a whole number, 1 or more"),
        ("[retention]\ndaily = -1\n", "a whole number, 0 or more"),
        ("[retention]\nyearly = 2.5\n", "a whole number, 0 or more"),
        ("[retention]\nyearly = true\n", "a whole number, 0 or more"),
        ('[retention]\nyearly = "25"\n', "a whole number, 0 or more"),
        ("[rotation]\nfresh_days = 0\n", "a whole number, 1 or more"),
        ("[backup]\nshrink_threshold = 50\n", "a number from 0 to 1"),
        ("[backup]\nshrink_threshold = nan\n", "a number from 0 to 1"),
        ("[backup]\nread_back = 1\n", "true or false"),
    ],
)
def test_a_value_of_another_kind_says_what_is_expected(text: str, expected: str) -> None:
    assert refusal(text).hint.startswith(f"expected: {expected}")


def test_a_section_that_is_not_a_section_is_refused() -> None:
    assert refusal('practice = "Cabinet"\n').hint == "write it as [practice]"


@pytest.mark.parametrize("text", ['sources = "/a"\n', 'sources = ["/a"]\n', '[sources]\npath = "/a"\n'])
def test_sources_in_another_form_are_refused_with_the_right_form(text: str) -> None:
    assert "[[sources]]" in refusal(text).hint


def test_a_source_without_a_path_is_refused() -> None:
    assert refusal("[[sources]]\nexclude = []\n").message.endswith("line 1: this [[sources]] has no path")


@pytest.mark.parametrize("path", ["", "Patients", "./Patients", "../Patients"])
def test_a_relative_source_is_refused(path: str) -> None:
    assert "is not a path from the top of the disk" in refusal(f'[[sources]]\npath = "{path}"\n').message


@pytest.mark.parametrize("path", ["~", "~/Patients", "~marie/Patients"])
def test_a_tilde_is_refused_because_root_has_another_home(path: str) -> None:
    assert "begins with ~" in refusal(f'[[sources]]\npath = "{path}"\n').message


def test_a_path_that_climbs_is_refused() -> None:
    assert 'has a ".." in it' in refusal('[[sources]]\npath = "/home/../etc"\n').message


def test_relative_state_is_refused_too() -> None:
    assert "is not a path from the top of the disk" in refusal('[paths]\nstate = "state"\n').message


def test_the_same_source_twice_is_refused_however_it_is_written() -> None:
    error = refusal('[[sources]]\npath = "/srv/a"\n[[sources]]\npath = "//srv/./a/"\n')
    assert error.message == "/etc/kinebackup/config.toml, line 4: /srv/a is named twice"


@pytest.mark.parametrize(("first", "second"), [("/srv", "/srv/a"), ("/srv/a", "/srv"), ("/srv/a", "/")])
def test_a_source_inside_another_is_refused_in_either_order(first: str, second: str) -> None:
    error = refusal(f'[[sources]]\npath = "{first}"\n[[sources]]\npath = "{second}"\n')
    assert "which is saved already" in error.message


def test_a_source_whose_name_begins_like_another_is_not_inside_it() -> None:
    config = parsed('[[sources]]\npath = "/srv/a"\n[[sources]]\npath = "/srv/ab"\n')
    assert [source.path for source in config.sources] == [Path("/srv/a"), Path("/srv/ab")]


def test_an_unknown_language_is_refused() -> None:
    error = refusal('[practice]\nlanguage = "de"\n')
    assert error.message == '/etc/kinebackup/config.toml, line 2: "de" is not a language of KineBackup'


# --- what is accepted -----------------------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults_and_no_source() -> None:
    config = parsed("")
    assert config == Config(
        paths=DEFAULTS,
        practice=PracticeConfig(name="", language="fr"),
        sources=(),
        retention=RetentionConfig(keep_last=10, daily=14, weekly=8, monthly=24, yearly=25),
        backup=BackupConfig(read_back=True, shrink_threshold=0.5),
        rotation=RotationConfig(fresh_days=7, offsite_days=14, verify_days=30, restore_test_days=30),
    )


def test_every_value_of_the_file_arrives() -> None:
    config = parsed(
        '[practice]\nname = "Cabinet"\nlanguage = "en"\n'
        '[paths]\nstate = "/s"\ncache = "/c"\nruntime = "/r"\n'
        '[[sources]]\npath = "/srv/é"\nexclude = ["*.tmp"]\none_file_system = false\n'
        "[retention]\nkeep_last = 1\ndaily = 2\nweekly = 3\nmonthly = 4\nyearly = 5\n"
        "[backup]\nread_back = false\nshrink_threshold = 1\n"
        "[rotation]\nfresh_days = 1\noffsite_days = 2\nverify_days = 3\nrestore_test_days = 4\n"
    )
    assert config == Config(
        paths=Paths(state=Path("/s"), cache=Path("/c"), runtime=Path("/r")),
        practice=PracticeConfig(name="Cabinet", language="en"),
        sources=(SourceConfig(path=Path("/srv/é"), exclude=("*.tmp",), one_file_system=False),),
        retention=RetentionConfig(keep_last=1, daily=2, weekly=3, monthly=4, yearly=5),
        backup=BackupConfig(read_back=False, shrink_threshold=1.0),
        rotation=RotationConfig(fresh_days=1, offsite_days=2, verify_days=3, restore_test_days=4),
    )


def test_a_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b'\xef\xbb\xbf[practice]\nname = "x"\n')
    assert read_config(file, environ={"HOME": "/home/x"}, is_root=False).practice.name == "x"


def test_the_example_loads_and_its_values_are_the_defaults() -> None:
    config = read_config(EXAMPLE, environ={}, is_root=True)
    plain = parse_config("", FILE, DEFAULTS)
    assert (config.retention, config.backup, config.rotation) == (plain.retention, plain.backup, plain.rotation)
    assert config.practice.language == "fr"
    assert [source.path for source in config.sources] == [Path("/home/marie/Patients"), Path("/home/marie/Documents")]


def test_the_example_names_the_default_folders_of_root() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for line in ('state = "/var/lib/kinebackup"', 'cache = "/var/cache/kinebackup"', 'runtime = "/run/kinebackup"'):
        assert f"# {line}\n" in text
        text = text.replace(f"# {line}\n", f"{line}\n")
    assert parse_config(text, FILE, DEFAULTS).paths == default_paths({}, is_root=True)


# --- where things are by default ------------------------------------------------------------------------------------


def test_root_does_not_follow_the_variables_of_the_person_who_called_sudo() -> None:
    environ = {"HOME": "/home/x", "XDG_STATE_HOME": "/home/x/s", "XDG_CONFIG_HOME": "/home/x/c"}
    assert default_paths(environ, is_root=True).state == Path("/var/lib/kinebackup")
    assert default_config_path(environ, is_root=True) == Path("/etc/kinebackup/config.toml")


def test_a_user_has_the_folders_of_the_session() -> None:
    environ = {"HOME": "/home/x", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert default_config_path(environ, is_root=False) == Path("/home/x/.config/kinebackup/config.toml")
    assert default_paths(environ, is_root=False) == Paths(
        state=Path("/home/x/.local/state/kinebackup"),
        cache=Path("/home/x/.cache/kinebackup"),
        runtime=Path("/run/user/1000/kinebackup"),
    )


def test_xdg_variables_are_followed_unless_they_are_relative() -> None:
    environ = {"HOME": "/home/x", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": "run"}
    assert default_paths(environ, is_root=False) == Paths(
        state=Path("/s/kinebackup"), cache=Path("/home/x/.cache/kinebackup"), runtime=Path("/s/kinebackup/run")
    )


def test_the_variable_for_the_file_wins_for_everyone() -> None:
    environ = {"HOME": "/home/x", "KINEBACKUP_CONFIG": "/tmp/other.toml"}
    assert default_config_path(environ, is_root=True) == Path("/tmp/other.toml")
    assert default_config_path(environ, is_root=False) == Path("/tmp/other.toml")


def test_no_home_is_said_and_not_guessed() -> None:
    with pytest.raises(ConfigError, match="HOME is not set"):
        default_config_path({}, is_root=False)


def test_hours_are_days_by_name_and_times_of_the_day() -> None:
    text = (
        '[hours]\nworking_days = ["Lundi", "saturday"]\nopens = "9:30"\ncloses = 18:00:00\nreminder = "17:00"\n'
        'rotation_day = "samedi"\n'
    )
    assert parsed(text).hours == HoursConfig((0, 5), time(9, 30), time(18), time(17), 5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('working_days = ["lundi", "caturday"]', '"caturday" is not a day of the week'),
        ("working_days = []", "no working day is named"),
        ('opens = "25:00"', "opens has a value of another kind"),
        ("opens = 8", "opens has a value of another kind"),
        ('reminder = "21:00"', "the reminder (21:00) is outside the opening hours"),
        ('opens = "19:00"', "the reminder (17:30) is outside the opening hours"),
        ('rotation_day = "5"', '"5" is not a day of the week'),
    ],
)
def test_hours_that_make_no_sense_are_refused_with_their_line(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(f"[hours]\n{line}\n")
    assert said in refused.value.message
    assert "line 2" in refused.value.message


def test_what_is_done_automatically_can_be_turned_off() -> None:
    text = "[automatic]\nwhen_plugged_in = false\npause_on_battery = false\nbackup_days = 2\nprune_days = 30\n"
    assert parsed(text).automatic == AutomaticConfig(False, False, 2, 30)
    with pytest.raises(ConfigError, match="backup_days"):
        parsed("[automatic]\nbackup_days = 0\n")
