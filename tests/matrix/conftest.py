"""Says what the matrix has judged, and what it took."""

from __future__ import annotations

from collections import defaultdict

from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print, for each check, how many inputs it had and how long they took."""
    took: dict[str, list[float]] = defaultdict(list)
    combinations = 0
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if "a_combination" in report.nodeid and report.when == "call":
            combinations += 1
            for check, seconds in report.user_properties:
                took[check].append(float(seconds))
    if not combinations:
        return
    terminalreporter.section(f"{combinations} combinations of answers")
    for check, each in took.items():
        terminalreporter.line(f"{check:18} {len(each):3} different inputs {sum(each):6.0f} s")
    inputs = sum(len(each) for each in took.values())
    work = sum(sum(each) for each in took.values())
    terminalreporter.line(f"{'all':18} {inputs:3} different inputs {work:6.0f} s")
