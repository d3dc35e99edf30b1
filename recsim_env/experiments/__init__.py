"""Questions asked of agents and worlds: settings, a run, a score, a picture."""
