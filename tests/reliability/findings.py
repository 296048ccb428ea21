"""What a fault led to: what the user was told, how it went on, and what was not as it should be."""

import re
from dataclasses import dataclass, field

import project_trees as trees
from project_trees import Done, Tree


@dataclass
class Finding:
    """What a fault led to.

    Attributes:
        fault: what was done.
        told: what the user saw of cause and remedy, one entry a message.
        codes: exit codes of the disturbed calls.
        then: how it went on.
        problems: what was not as it should be; empty if all was well.
        skipped: why the case was not run, if it was not.
    """

    fault: str
    told: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    then: str = ""
    problems: list[str] = field(default_factory=list)
    skipped: str = ""

    def expect(self, truth: object, problem: str) -> None:
        """Note a problem unless something holds."""
        if not truth:
            self.problems.append(problem)

    def disturbed(self, done: Done, *words: str) -> None:
        """Note what a call that must fail told; it must hold these words, and no traceback."""
        found = messages(done.text)
        self.codes.append(done.code)
        self.told += [one for one in found if one not in self.told]
        self.expect(done.code == 1, f"exit code {done.code}: {done.text[-1500:]}")
        self.expect("Traceback (most recent" not in done.text, f"traceback: {done.text[-1500:]}")
        for word in words:
            self.expect(any(word in one for one in found), f"'{word}' was not told: {found}")

    def recovered(self, tree: Tree, wanted: dict[str, str], before: dict[str, bytes]) -> None:
        """Run the same command again: it must end as an undisturbed study and lose nothing."""
        done = tree.make()
        self.expect(done.code == 0, f"did not go on: {done.text[-3000:]}")
        self.same(tree, wanted)
        gone = trees.lost(before, tree.results)
        self.expect(not gone, f"finished, but lost or made again: {gone}")

    def same(self, tree: Tree, wanted: dict[str, str]) -> None:
        """All results must be an undisturbed study's."""
        different = trees.differences(trees.contents(tree.results), wanted)
        self.expect(not different, f"other bytes: {different}")


def messages(text: str) -> list[str]:
    """Return what a call told of errors: lines of the command line, and Snakemake's own."""
    own = [line.strip() for line in text.splitlines() if line.strip().startswith("error: ")]
    blocks = re.findall(
        r"^(?:\w*Error|\w*Exception)[^\n]*:\n(.+?)\n(?:\n|\Z|\[)", text, re.M | re.S
    )
    blocks = [" ".join(re.sub(r'^ +File "[^\n]*', "", one, flags=re.M).split()) for one in blocks]
    dull = ("At least one job did not complete", "CalledProcessError in file")
    rest = [block[:400] for block in blocks if not block.startswith(dull)]
    return list(dict.fromkeys(own or rest))
