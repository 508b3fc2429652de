"""Floor 0: pure functions on tensors, lane axis first.

Notation used in every docstring here:

=======  ===========================================================
symbol   meaning
=======  ===========================================================
``R``    lanes (runs that train side by side)
``T``    env steps of one rollout
``B``    samples of one minibatch
``A``    action dimensions (continuous) or actions (discrete)
``P``    parameters of one network
=======  ===========================================================

No function mixes two lanes: entry ``r`` of every result depends on entry ``r`` of the
arguments alone.  Training uses float32; every function also works in float64, which is
what the tests use.
"""
