"""How a page's template becomes html."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.text import printable
from evaluation.page._meanings import meaning_of, title_of
from evaluation.page._text import ends, level, number, percent
from evaluation.report.names import direction


def render(template: str, **found: object) -> str:
    """Fill in a template of this folder.

    Args:
        template: Its file's name.
        found: What it shows, by the names it uses.

    Returns:
        The same text for the same arguments.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # values come from logs, and may hold html
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "direction": direction,
        "ends": ends,
        "level": level,
        "meaning": meaning_of,
        "number": number,
        "percent": percent,
        "printable": printable,
        "title_of": title_of,
    }
    return environment.get_template(template).render(**found).strip() + "\n"
