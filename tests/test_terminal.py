"""The command line as people meet it: start-up, help, colours, completion, Ctrl-C, options that all commands have."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import studies
import typer.main

import codesign.cli as cli
from codesign.board.boards import board_names
from codesign.cli_help import painted

Captured = pytest.CaptureFixture[str]
COMMANDS = list(typer.main.get_group(cli.app).commands)
# None of these is needed to say what a command does.
HEAVY = (
    *("numpy", "scipy", "sklearn", "skopt", "matplotlib", "pydantic", "jinja2", "rich", "sqlite3", "h5py"),
    *("tensorflow", "keras", "qkeras", "hls4ml", "distributed", "optuna", "pyosys", "da4ml", "paramiko", "pyarrow"),
)

# ---------------------------------------------------------------- start-up


def test_help_loads_nothing_heavy() -> None:
    """Of the whole and of each command, one after the other in one process."""
    script = f"""
import sys
from codesign.__main__ import main
for command in {[[], *([name] for name in COMMANDS)]!r}:
    sys.argv = ["codesign", *command, "--help"]
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 0, stop.code
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, (command, loaded)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: codesign") == 1 + len(COMMANDS)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "codesign", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


# ---------------------------------------------------------------- what all commands have


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_quiet_and_speak_json(command: str) -> None:
    options = {name for param in typer.main.get_group(cli.app).commands[command].params for name in param.opts}
    assert {"--quiet", "-q", "--json"} <= options


def test_quiet_stands_before_a_command_or_in_it(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    from codesign.progress import console

    for arguments in (["--quiet", "doctor"], ["doctor", "-q"]):
        monkeypatch.setattr(console, "quiet", False)
        assert cli.run(arguments) == 0 and console.quiet
    monkeypatch.setattr(console, "quiet", False)
    assert cli.run(["doctor"]) == 0 and not console.quiet
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- terminals


def on_a_terminal(*arguments: str, keys: bytes = b"", until: bytes = b"", **environment: str) -> tuple[int, str]:
    """Run the command with a terminal as all three streams; `keys` are typed when `until` is shown."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    variables.pop("NO_COLOR") if variables.get("NO_COLOR") == "" else None
    command = [sys.executable, "-m", "codesign", *arguments]
    got = b""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    # A session of its own with this terminal, so that Ctrl-C reaches it as it reaches a person's command.
    script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    wrapped = [sys.executable, "-c", script, *command]
    with subprocess.Popen(wrapped, **streams, env=variables, start_new_session=True) as process:  # type: ignore[call-overload]
        os.close(theirs)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if keys and until in got:
                os.write(ours, keys)
                keys = b""
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the last one has closed the terminal
                break
            if not piece:
                break
            got += piece
        code = process.wait(timeout=30)
    os.close(ours)
    return code, got.decode().replace("\r\n", "\n")


def test_help_is_in_colour_on_a_terminal_only() -> None:
    code, shown = on_a_terminal("campaign", "--help", NO_COLOR="")
    assert code == 0 and "\x1b[1mUsage:\x1b[0m" in shown and "\x1b[36m--trials\x1b[0m" in shown
    _, plain = on_a_terminal("campaign", "--help", NO_COLOR="1")
    assert "\x1b" not in plain and "--trials" in plain
    assert re.sub(r"\x1b\[\d+m", "", shown).replace("`", "") == plain.replace("`", "")
    _, dumb = on_a_terminal("campaign", "--help", TERM="dumb")
    assert "\x1b" not in dumb
    piped = studies.codesign("campaign", "--help", env={**os.environ, "COLUMNS": "80"})
    assert piped.stdout == plain


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_help_fits_its_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in COMMANDS:
        assert cli.run([command, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        prose = [line for line in lines if line.startswith("  ") and " <" not in line and len(line.split()) > 1]
        assert max(map(len, prose)) <= min(max(width, 50), 100)


def test_the_doctors_table_fits_its_terminal() -> None:
    code, shown = on_a_terminal("doctor", COLUMNS="90")
    assert code == 0 and max(map(len, shown.splitlines())) <= 90
    piped = studies.codesign("doctor").stdout
    assert "".join(shown.split()) == "".join(piped.split()) and shown.count("\n") > piped.count("\n")


def test_painting_keeps_the_text() -> None:
    text = "Usage: codesign x\n\n  Say `what` it is.\n\nOptions:\n  -q, --quiet  Nothing.\n"
    assert painted(text) == (
        "\x1b[1mUsage:\x1b[0m codesign x\n\n  Say \x1b[36mwhat\x1b[0m it is.\n\n\x1b[1mOptions:\x1b[0m\n"
        "  \x1b[36m-q, --quiet\x1b[0m  Nothing.\n"
    )


def test_a_narrow_terminal_shows_a_bar_in_one_line(tmp_path: Path) -> None:
    study = studies.write_study(tmp_path)
    arguments = ("--verify", "0", "--trials", "150", "--simulator", "reference", "--out", str(tmp_path))
    code, shown = on_a_terminal("campaign", str(study), *arguments, COLUMNS="40", NO_COLOR="1")
    assert code == 0 and "trials" in shown and "/150" in shown and "\x1b[3" not in shown
    lines = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", shown) if "/150" in line]
    assert lines and max(map(len, lines)) <= 40


def test_a_closed_pipe_is_no_error() -> None:
    command = [*studies.COMMAND, "trials", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


# ---------------------------------------------------------------- Ctrl-C


def test_interrupted_at_a_question(tmp_path: Path) -> None:
    code, shown = on_a_terminal("init", keys=b"\x03", until=b"Model (.h5 or .keras): ")
    assert code == cli.INTERRUPTED
    assert "codesign: interrupted" in shown and "Traceback" not in shown and "Aborted" not in shown


def test_no_answer_is_bad_input() -> None:
    code, shown = on_a_terminal("init", keys=b"\x04", until=b"Model (.h5 or .keras): ")
    assert code == cli.BAD_INPUT and "codesign: MODEL is missing" in shown


def test_interrupted_below_a_bar(tmp_path: Path) -> None:
    study = studies.write_study(tmp_path)
    arguments = ("--verify", "0", "--trials", "100000000", "--out", str(tmp_path))
    code, shown = on_a_terminal("campaign", str(study), *arguments, keys=b"\x03", until=b"/100000000")
    assert code == cli.INTERRUPTED
    last = shown[shown.rindex("codesign: ") :]
    assert last.startswith("codesign: interrupted; everything that was finished is kept: trials") and "/" not in last
    assert "Traceback" not in shown and shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize("command", sorted(cli.KEPT))
def test_every_long_command_says_what_is_kept(command: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stop)
    assert cli.run(["--quiet", command]) == cli.INTERRUPTED
    out, err = capsys.readouterr()
    assert (
        out == "" and studies.refusal(err) == f"interrupted; everything that was finished is kept: {cli.KEPT[command]}"
    )


def test_interrupted_while_modules_are_loaded() -> None:
    script = """
import sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "codesign.cli_upsets":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Impatient())
from codesign.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == cli.INTERRUPTED and studies.refusal(done.stderr).startswith("interrupted")


# ---------------------------------------------------------------- completion


def offered(words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> list[str]:
    """What bash is offered for the last of these words, which may be empty."""
    monkeypatch.setenv("_CODESIGN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert cli.run([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.split()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("codesign c", ["campaign", "curve", "compare", "calibrate"]),
        ("codesign campaign --si", ["--simulator"]),
        ("codesign campaign x.toml --simulator ", ["engine", "csim", "reference", "board"]),
        ("codesign replay case --simulator c", ["csim"]),
        ("codesign campaign x.toml --target a", ["accumulator", "activation"]),
        ("codesign campaign x.toml --lifetime ", ["transient", "persistent"]),
        ("codesign campaign x.toml --metric b", ["balanced_accuracy"]),
        ("codesign analyze x.toml --score h", ["hessian"]),
        ("codesign export run --board pynq-z", ["pynq-z1", "pynq-z2"]),
        ("codesign export run --backend Vi", ["Vivado", "Vitis", "VivadoAccelerator"]),
        ("codesign export run --io-type io_s", ["io_stream"]),
        ("codesign resources run --source ", ["estimate", "yosys", "vivado", "vitis"]),
        ("codesign resources run --strategy d", ["distributed_arithmetic"]),
        ("codesign calibrate --family ", ["xc7", "xcup"]),
        ("codesign avf run --outcome si", ["silent"]),
        ("codesign campaign stud", []),  # files: the shell knows them
    ],
)
def test_words_that_are_offered(
    words: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert offered(words, monkeypatch, capsys) == wanted


@pytest.mark.parametrize("command", ["init", "export", "build"])
def test_every_board_is_offered(command: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert offered(f"codesign {command} x --board ", monkeypatch, capsys) == board_names()


def test_every_option_is_offered(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for name, command in typer.main.get_group(cli.app).commands.items():
        options = {option for param in command.params for option in param.opts if option.startswith("--")}
        assert options <= set(offered(f"codesign {name} --", monkeypatch, capsys))


@pytest.mark.parametrize(("shell", "said"), [("bash", "-o default"), ("zsh", "#compdef"), ("fish", "--command")])
def test_completion_is_shown(shell: str, said: str, capsys: Captured) -> None:
    assert cli.run(["--show-completion", shell]) == 0
    script = capsys.readouterr().out
    assert said in script and f"_CODESIGN_COMPLETE=complete_{shell}" in script and script.endswith("\n")


def test_bash_itself_completes(tmp_path: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash (Debian: apt-get install bash)")
    command = tmp_path / "codesign"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m codesign "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(codesign --show-completion bash)"; COMP_WORDS=(codesign export run --board zcu102); COMP_CWORD=4; '
        '_codesign_completion codesign; echo "${COMPREPLY[@]}"'
    )
    variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "--norc", "-c", script], env=variables, capture_output=True, text=True, check=False)
    assert done.stdout == "zcu102\n", done.stderr


@pytest.mark.parametrize(
    ("shell", "files"),
    [
        ("bash", [".bash_completions/codesign.sh", ".bashrc"]),
        ("zsh", [".zfunc/_codesign", ".zshrc"]),
        ("fish", [".config/fish/completions/codesign.fish"]),
    ],
)
def test_completion_is_installed(
    shell: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.run(["--install-completion", shell]) == 0
    assert capsys.readouterr().out == f"completion for {shell}: {tmp_path / files[0]}, which the next shell reads\n"
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == files


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_unknown_shells_are_refused(option: str, capsys: Captured) -> None:
    assert cli.run([option, "tcsh"]) == cli.BAD_INPUT
    assert studies.refusal(capsys.readouterr().err) == f"{option} tcsh: expected one of bash, zsh, fish"


# ---------------------------------------------------------------- JSON of commands that had none elsewhere


@pytest.mark.cxx
def test_report_and_export_as_json(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    assert cli.run(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(run / "report.html")}
    assert cli.run(["export", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["project"]).is_dir() and found["backend"] == "Vivado" and found["self_test"] is False
    assert found["network"] == json.loads((run / "result.json").read_text())["best"]["network"]
