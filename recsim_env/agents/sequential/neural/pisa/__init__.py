"""PISA: ACT-R's memory as attention over listening sessions."""
