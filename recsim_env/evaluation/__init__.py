"""The measuring instruments: functions of arrays, without state."""
