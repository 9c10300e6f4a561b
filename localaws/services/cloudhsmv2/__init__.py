"""AWS CloudHSM and KMS CloudHSM key stores: the model.

It knows neither the servers that make it answer nor HTTP: `Region` is one account in one Region,
`ports` is what it needs of the emulator. Time is virtual; nothing happens on its own, and everything
that is due has happened whenever the model is asked (see `agenda`).
"""

from localaws.services.cloudhsmv2.provider import CLOUDHSM_ACTIONS, KEY_STORE_ACTIONS, Region
from localaws.services.cloudhsmv2.timings import Quotas, Timings

__all__ = ["CLOUDHSM_ACTIONS", "KEY_STORE_ACTIONS", "Quotas", "Region", "Timings"]
