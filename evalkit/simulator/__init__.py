"""A local Gemini: an HTTP server that speaks the wire format, answers from the ground truth, and fails on cue.

Its answers are simulated and measure the harness, never a model. ``start_simulator`` starts it;
``personas.PERSONAS`` says who answers; ``faults`` documents what can be made to go wrong.
"""

from evalkit.simulator.faults import read_faults
from evalkit.simulator.server import Simulator, start_simulator

__all__ = ["Simulator", "read_faults", "start_simulator"]
