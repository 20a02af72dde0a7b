"""The short form runs with every other test; FAULTS_FORM=long asks for all that was promised."""

from __future__ import annotations

import os

LONG = os.environ.get("FAULTS_FORM") == "long"
