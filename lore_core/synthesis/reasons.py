"""Why a teacher's work on a pair was not taken."""

from enum import StrEnum


class Reason(StrEnum):
    """One word a case; the first that holds is counted."""

    # the teacher did not answer
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    REFUSED = "refused by the teacher"
    BUDGET_SPENT = "budget spent"
    # the answer cannot be read
    GARBAGE = "not the asked format"
    # the answer can be read and is wrong
    TELLS_ANSWER = "speaks of the answer"
    EMPTY = "no steps"
    TERM_NOT_IN_QUERY = "term not in the query"
    OFF_PATH = "a demand that the path lacks"
    DEMAND_LEFT_OUT = "a demand left out"
    EVIDENCE_NOT_FOUND = "evidence not in the record"
    UNKNOWN_VERDICT = "unknown verdict"
    MISPLACED_OTHER = "verdict other on a demand"
    RULE_NOT_SHOWN = "a rule that was not shown"
    RULE_DOES_NOT_FIT = "a rule of another dimension"
    AGAINST_RULE = "a verdict against its rule"
    NOT_FROM_STEPS = "label does not follow from the steps"
    NOT_GOLD = "another label than gold"
    OUTVOTED = "contradicts most other traces"


UNAVAILABLE = frozenset({Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.REFUSED})
