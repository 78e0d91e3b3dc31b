"""What README and docs say, for tests: their links, the anchors of their headings, and the commands in their code."""
import dataclasses
import re
import shlex

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docker/README.md"]
FENCE, LINK, HEADING = re.compile(r"\s*```"), re.compile(r"\]\(([^)\s]+)\)"), re.compile(r"#{1,6} (.*)")
INLINE = re.compile(r"`(python [^`]+)`")


@dataclasses.dataclass(frozen=True)
class Command:
    """A line of code that starts a script: where it stands, and the words after `python`."""

    place: str
    words: tuple

    @property
    def script(self):
        """The script's file, or `-m` and its module."""
        return " ".join(self.words[:2]) if self.words[0] == "-m" else self.words[0]

    @property
    def arguments(self):
        """What the script is given."""
        return self.words[2 if self.words[0] == "-m" else 1:]


def split(page):
    """(lines of code, other lines) of a page, each with its number; code is what stands in fences, or indented after an empty line."""
    code, prose, fenced, indented, before = [], [], False, False, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        indented = line.startswith("    ") and (indented or not before.strip())
        if FENCE.match(line):
            fenced = not fenced
        else:
            (code if fenced or indented else prose).append((number, line))
        before = line
    return code, prose


def commands(page):
    """Every `Command` of a page, also of those within a sentence."""
    code, prose = split(page)
    lines = code + [(number, found) for number, line in prose for found in INLINE.findall(line)]
    return [Command(f"{page.relative_to(ROOT)}:{number}", words) for number, line in lines if (words := _words(line))]


def _words(line):
    """The words after `python`, up to what is the shell's; () where the line starts no script."""
    if not re.search(r"\bpython (-m )?[\w/.]+", line):
        return ()
    words = shlex.split(line, comments=True)
    if "python" not in words:
        return ()
    words = words[words.index("python") + 1:]
    end = next((i for i, word in enumerate(words) if word in ("&&", "|", ">", "2>", ";")), len(words))
    return tuple(words[:end]) if words and (words[0] == "-m" or words[0].endswith(".py")) else ()


def links(page):
    """[(line, target)] of all links of a page to files of the repository, and to headings."""
    _, prose = split(page)
    return [(number, target) for number, line in prose for target in LINK.findall(re.sub(r"`[^`]*`", "", line)) if "://" not in target]


def anchors(page):
    """The anchors of a page's headings, as forges make them."""
    _, prose = split(page)
    found = []
    for _, line in prose:
        if heading := HEADING.fullmatch(line):
            slug = re.sub(r"[^\w\- ]", "", heading[1].strip().lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return found
