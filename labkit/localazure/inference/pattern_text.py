"""A text that matches a simple regular expression, made without matching anything: that could take forever.

Understood are literals, ``.``, ``\\d \\w \\s``, character classes, groups, alternatives (the first one is taken),
anchors and quantifiers. Of anything else nothing is promised.
"""

import re
import string

_MOST_CHARACTERS = 200
_MOST_PATTERN = 400
_MOST_GROUPS = 20
_COUNTED = re.compile(r"\{(?P<least>[0-9]{0,5})(?:,(?P<most>[0-9]{0,5}))?\}")
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}
_ANCHORS = ("b", "B", "A", "Z", "z")
_CANDIDATES = "a" + "0" + "A" + string.ascii_letters + string.digits + "-_ .@/:,;+!?#%&*()="


def example(pattern: str) -> str:
    """A short text that ``pattern`` matches from its beginning to its end, as far as it is understood."""
    reader = _Reader(pattern[:_MOST_PATTERN])
    return reader.alternatives()[:_MOST_CHARACTERS]


class _Reader:
    """Reads a pattern once from left to right. Every method returns the text for what it has read."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self._depth = 0

    def alternatives(self) -> str:
        """The first of the alternatives up to the end of a group or of the pattern."""
        first = self._sequence()
        while self._peek() == "|":
            self._place += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        text = ""
        while self._peek() not in ("", "|", ")"):
            atom = self._atom()
            text = (text + atom * self._times())[:_MOST_CHARACTERS]
        return text

    def _atom(self) -> str:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._one_of()
        if sign == "\\":
            return self._escaped()
        if sign in "^$":
            return ""
        return "a" if sign == "." else sign

    def _group(self) -> str:
        ahead = self._pattern[self._place : self._place + 3]
        if ahead.startswith("?:"):
            self._place += 2
        elif ahead.startswith(("?P<", "?<")) and ahead not in ("?<=", "?<!"):
            self._place = self._pattern.find(">", self._place) + 1 or len(self._pattern)
        self._depth += 1
        if self._depth > _MOST_GROUPS:
            self._place = len(self._pattern)
        text = self.alternatives()
        self._depth -= 1
        if self._peek() == ")":
            self._place += 1
        return "" if ahead.startswith(("?=", "?!", "?<=", "?<!")) else text

    def _escaped(self) -> str:
        sign = self._next()
        if sign in _ANCHORS:
            return ""
        return _CLASSES.get(sign, _ESCAPES.get(sign, sign))

    def _one_of(self) -> str:
        """A member of a character class, whose opening bracket has been read."""
        negative = self._peek() == "^"
        self._place += negative
        members: list[str] = []
        while self._peek() and (self._peek() != "]" or not members):
            sign = self._next()
            members.append(self._escaped() if sign == "\\" else sign)
            if self._peek() == "-" and self._pattern[self._place + 1 : self._place + 2] not in ("]", ""):
                self._place += 1
                last = self._next()
                members[-1] = self._span(members[-1], last)
        self._place += 1
        allowed = "".join(members)
        if negative:
            return next((sign for sign in _CANDIDATES if sign not in allowed), "a")
        return allowed[:1]

    def _span(self, first: str, last: str) -> str:
        low, high = ord(first or "a"), ord(last)
        return "".join(map(chr, range(low, min(high, low + 127) + 1)))

    def _times(self) -> int:
        """How often the atom before a quantifier comes: as seldom as it may, at least once where it may."""
        sign = self._peek()
        if sign not in ("*", "+", "?", "{"):
            return 1
        times = 1
        if sign == "{":
            counted = _COUNTED.match(self._pattern, self._place)
            if counted is None:  # a bracket that means itself
                return 1
            least = int(counted["least"] or 0)
            most = least if counted["most"] is None else int(counted["most"] or 1)
            times = max(least, min(1, most))
            self._place = counted.end() - 1
        self._place += 1
        if self._peek() in ("?", "+"):
            self._place += 1
        return min(times, _MOST_CHARACTERS)

    def _peek(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _next(self) -> str:
        self._place += 1
        return self._pattern[self._place - 1 : self._place]
