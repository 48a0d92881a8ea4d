"""Late labels, what wrong calls cost by week and slice, alarms with a budget of false ones, and who is called."""
