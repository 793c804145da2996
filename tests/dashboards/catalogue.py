"""Which metrics there are: ours by docs/METRICS.md, and those of the programs around us."""

import re

from dashboards import ROOT

HERE = ROOT / "tests" / "dashboards"

# Of other programs, what dashboards and rules may use. That they exist, the live check shows.
OTHERS = re.compile(r"up|scrape_\w+|ALERTS(_FOR_STATE)?|(prometheus|alertmanager|process|redis)_\w+")


def families() -> dict[str, str]:
    """Our families and their types, as docs/METRICS.md lists them."""
    page = (ROOT / "docs" / "METRICS.md").read_text()
    kinds = "counter|gauge|histogram|summary"
    return dict(re.findall(rf"^\| `(mcp_\w+)` \| ({kinds}) \|", page, re.MULTILINE))


def label_names() -> set[str]:
    """Labels that are called like metrics, such as mcp_method_name."""
    page = (ROOT / "docs" / "METRICS.md").read_text()
    columns = re.findall(r"^\| `mcp_\w+` \| \w+ \| (.*?) \|", page, re.MULTILINE)
    return set(re.findall(r"mcp_\w+", " ".join(columns)))


def unpublished() -> set[str]:
    lines = (HERE / "unpublished.txt").read_text().splitlines()
    return {line.split("#")[0].strip() for line in lines} - {""}


FAMILIES = families()
LABELS = label_names()
UNPUBLISHED = unpublished()
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


def family_of(metric: str) -> str | None:
    """The family whose series have this name: `x_bucket` belongs to a histogram `x`, and `x` alone to
    a counter or a gauge `x`."""
    for family, kind in FAMILIES.items():
        if metric in [family + suffix for suffix in SUFFIXES.get(kind, ("",))]:
            return family
    return None


def is_known(metric: str) -> bool:
    return family_of(metric) is not None or OTHERS.fullmatch(metric) is not None


def is_unpublished(metric: str) -> bool:
    return family_of(metric) in UNPUBLISHED
