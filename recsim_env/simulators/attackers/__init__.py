"""Attackers: fake users within a budget, who push items into the lists of others or out of them."""
