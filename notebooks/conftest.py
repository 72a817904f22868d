"""How nbval compares: without progress bars and warnings, which go to stderr, and the data of figures."""

from nbval.plugin import IPyNbFile


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("stderr", "text/csv")
