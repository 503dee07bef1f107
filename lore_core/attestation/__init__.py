"""A verdict that travels: what was judged, signed by whoever ran the evaluation, checked where the model is to serve.

Light: the operator imports this package. `cryptography` is imported where keys are used.
"""

from lore_core.attestation.statement import Refused, Statement
from lore_core.attestation.trust import TrustedKeys, sign

__all__ = ["Refused", "Statement", "TrustedKeys", "sign"]
