"""fairy/__main__.py: Ctrl-C while the command line loads."""

from __future__ import annotations

import builtins

import pytest

from fairy.__main__ import main


def test_ctrl_c_while_it_loads_ends_without_a_traceback(monkeypatch, capsys):
    load = builtins.__import__

    def interrupt(name, *rest):
        if name == "fairy.cli.app":
            raise KeyboardInterrupt
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupt)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")
