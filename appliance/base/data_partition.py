"""What the boot found of the data partition, as the program that mounts it left word (image, mount.appliance)."""

from __future__ import annotations

from pathlib import Path

from appliance.base.errors import Finding

DAMAGED_CODE = "data-damaged"


def data_findings_from(word: str) -> tuple[Finding, ...]:
    """What is told of it: nothing where the word is empty. ValueError for a word that nobody leaves."""
    match word:
        case "":
            return ()
        case "mended":
            sentence = "The data partition was damaged and was mended: something of it may be missing."
            suggestion = "See whether the last exams are whole. Call support if it happens again."
            return (Finding("data-mended", sentence, suggestion),)
        case "lost":
            sentence = "The data partition was missing and was made anew: what this box had saved is not on it."
            suggestion = "Call support: the box must be set up again, and its flash looked at."
            return (Finding("data-lost", sentence, suggestion),)
        case "damaged":
            sentence = "The data partition cannot be used: nothing can be kept, and no image is taken."
            suggestion = "Call support: what is on it was left as it is."
            return (Finding(DAMAGED_CODE, sentence, suggestion),)
    raise ValueError(f"not a word for the data partition: {word!r}")


def read_data_findings(run: Path) -> tuple[Finding, ...]:
    """The same, by the word that the boot left below `run`."""
    left = run / "data"
    return data_findings_from(left.read_text(encoding="ascii").strip() if left.exists() else "")
