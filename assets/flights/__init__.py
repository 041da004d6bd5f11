"""Flights that left New York in 2013, the days of their carriers and the weeks of their aircraft."""
