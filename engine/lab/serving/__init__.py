"""Services of our own that stand behind a balancer: `python -m engine.lab.serving.NAME HOST PORT NODE`."""
