"""Word lists: what questions are made of, and words that mean much the same. The long ones are text files beside this one.

`max(STOP_WORDS, …)` picks the language of a question, English where none is better: keep English first.
"""

from __future__ import annotations

import functools
from importlib.resources import files

__all__ = ["COMPARED", "STOP_WORDS", "common_words", "synonym_lines"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS: dict[str, frozenset[str]] = {
    "en": _words(
        """
        a about after again all already also am an and another any anybody anyone anything are aren't as at be because been before
        being both but by can can't cannot could did didn't do does doesn't doing don't done else ever every for from get gets
        getting give go goes going got had has hasn't have having he her here him his how i i'm i've if in instead into is isn't
        it it's its itself just kind let like made make makes many may me mean means might mine more most much must my need needs
        no nor not now of off often on once one only onto or other our out over own per please quite rather really same say says
        shall she should so some somebody someone something sort still such take takes tell than that that's the their them then
        there these they thing things this those through to too under up upon us use used uses using very via want wants was
        wasn't way ways we were what what's when where whether which while who whom whose why will with within without won't would
        yet you your yours
        """
    ),
    "de": _words(
        """
        aber alle als also am an auch auf aus bei bin bis da das dass dem den denn der des die dies diese dieser dieses doch dort
        du durch ein eine einem einen einer eines er es etwas fur gibt haben hat hier ich ihr ihre im in ins ist ja jede jeder
        kann kein keine konnen man mehr mein meine mich mir mit muss nach nicht noch nur ob oder ohne sein sich sie sind so soll
        und uns unser unter viel viele vom von vor wann warum was welche welchem welchen welcher welches wenn wer werden wie
        wieviel wir wird wo wurde zu zum zur
        """
    ),
    "fr": _words(
        """
        a ai as au aux avec ce ces cet cette combien comment d dans de des dois doit du elle en est et etre eux faire fait il ils
        j je l la le les leur lui m ma mais me mes moi mon n ne nos notre nous on ou par pas peut peux plus pour pourquoi qu quand
        que quel quelle quelles quels qui quoi s sa sans se ses si son sont sur ta te tes toi ton tu un une vos votre vous y
        """
    ),
    "es": _words(
        """
        a al como con cual cuales cuando cuanta cuantas cuanto cuantos de del donde el ella en es esta estan este esto ha hacer
        hay la las lo los mas me mi mis muy no nos o para pero por porque puede puedo que quien se ser si sin sobre son su sus te
        tiene tu un una uno unos y ya yo
        """
    ),
    "it": _words(
        """
        a al alla anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e ed gli ha ho i il in io la le lo
        ma mi nel nella non o per perche piu posso puo quale quali quando quanta quante quanti quanto se si sono su sul tra tu un
        una uno
        """
    ),
    "pt": _words(
        """
        a ao aos as com como da das de do dos e ela ele em essa esse esta este eu foi ha isso isto mais mas me meu minha na nao
        nas no nos o onde os ou para pela pelo pode por porque posso quais qual quando quanto quantos que quem se sem ser seu sua
        tem um uma voce
        """
    ),
}

# The forms of comparison that people use of settings and sizes, to the plain word.
COMPARED: dict[str, str] = {
    form: line.split()[0]
    for line in """
big bigger biggest
early earlier earliest
fast faster fastest
few fewer fewest
great greater greatest
high higher highest
large larger largest
late later latest
long longer longest
low lower lowest
new newer newest
old older oldest
safe safer safest
short shorter shortest
slow slower slowest
small smaller smallest
strong stronger strongest
weak weaker weakest
""".strip().splitlines()
    for form in line.split()[1:]
}


@functools.lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """Words that say little about what somebody asks for."""
    return frozenset(word for line in _lines("common_words.txt") for word in line.split())


@functools.lru_cache(maxsize=1)
def synonym_lines() -> tuple[str, ...]:
    """The meanings: `a b c`, or `a: b c` for one way only."""
    return tuple(_lines("synonyms.txt"))


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
