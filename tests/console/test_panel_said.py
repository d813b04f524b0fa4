"""What the box says, as the page reads it: in its language, values in their places."""

from __future__ import annotations

from tests.console.test_panel import Panel, browser, quiet_panel

__all__ = ["browser", "quiet_panel"]

_SAID = {
    "de": {
        "Nothing was captured: the flash has become read-only.": (
            "Es wurde nichts aufgenommen: der Speicher ist schreibgeschützt geworden."
        ),
        "Room for about 14 minutes of clip (Endoscope), or 1 film (Film); 12.50 GB are free.": (
            "Platz für etwa 14 Minuten Clip (Endoscope), 1 Film (Film); 12,50 GB sind frei."
        ),
        "The Film digitizer broke off its transfer after 4,096 bytes. Send the image once more.": (
            "Film digitizer: hat die Übertragung abgebrochen nach 4,096 Bytes. Senden Sie das Bild noch einmal."
        ),
        "PACS at 10.20.30.60 refuses connections on port 104.": (
            "PACS auf 10.20.30.60 lehnt Verbindungen auf Port 104 ab."
        ),
        "RIS at [fd00::7]:104 over TLS": "RIS auf [fd00::7]:104 über TLS",
        "nobody confirmed it until 12:30:05": "bis 12:30:05 hat es niemand behalten",
        "Look at line 7": "Look at line 7",
    },
    "fr": {
        "The Film digitizer stood still for 30 s; the scan was stopped.": (
            "Film digitizer\u00a0: immobile 30 s\u00a0; le scan a été arrêté."
        ),
    },
    "es": {
        "archive refused 3 objects: the archive is out of resources (status A700H).": (
            "archive rechazó 3 objetos: el archivo no tiene recursos (estado A700H)."
        ),
    },
    "ja": {"It says that today is 2026-11-23.": "表示日付は2026/11/23です。"},
    # Each value keeps its own direction; so does what nobody translated.
    "ar": {
        "HOSPITAL does not answer.": "\u2068HOSPITAL\u2069 لا يجيب.",
        "Quota exceeded at RIS-7.": "\u2068Quota exceeded at RIS-7.\u2069",
        "HOSPITAL answered the verification with status A700H.": (
            "أجاب \u2068HOSPITAL\u2069 عن التحقق بالحالة \u2066\u2068A700\u2069H\u2069."
        ),
    },
    "en": {"Nothing was captured.": "Nothing was captured."},
}


def test_ok__what_the_box_says_is_read_in_the_panels_language(quiet_panel: Panel) -> None:
    for language, said in _SAID.items():
        quiet_panel.speak(language)
        for sentence, words in said.items():
            shown = quiet_panel.page.evaluate("async (one) => (await import('/static/texts.js')).said(one)", sentence)
            assert shown == words
